import ctypes
import subprocess
import sys

import pytest

from training.compute import allocator

FAULTS = """
import resource, sys, torch
from training.compute.allocator import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.zeros(16, 2**20)  # 64 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
given_back = faults()
keep_freed_memory()
faults()
print(given_back, faults())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")
def test_what_was_freed_is_had_again_without_the_kernel() -> None:
    told = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True
    ).stdout
    given_back, kept = map(int, told.split())
    assert given_back > 100
    assert kept < given_back / 10


class Allocator:
    """A C library whose mallopt takes thresholds of blocks up to `most`."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken: list[tuple[int, int]] = []

    def mallopt(self, option: int, value: int) -> int:
        takes = option == allocator.M_TRIM_THRESHOLD or value <= self.most
        if takes:
            self.taken.append((option, value))
        return int(takes)


@pytest.mark.parametrize(
    ("most", "taken"),
    [
        (2**31, [(-3, 2**31 - 1), (-1, 2**31 - 1)]),
        (2**25, [(-3, 2**25), (-1, 2**31 - 1)]),  # an older glibc
        (2**10, []),  # with a threshold of trimming alone it would map every block
    ],
)
def test_nothing_is_trimmed_where_no_threshold_of_blocks_is_taken(
    monkeypatch: pytest.MonkeyPatch, most: int, taken: list[tuple[int, int]]
) -> None:
    library = Allocator(most)
    monkeypatch.setattr("training.compute.allocator.ctypes.CDLL", lambda _: library)
    allocator.keep_freed_memory()
    assert library.taken == taken


def test_a_library_without_mallopt_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def library(name: str | None) -> object:
        asked.append(name)
        return object()

    monkeypatch.setattr("training.compute.allocator.ctypes.CDLL", library)
    allocator.keep_freed_memory()
    assert asked == [None]
