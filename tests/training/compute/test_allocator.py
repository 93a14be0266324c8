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
def test_freed_memory_is_reused_without_page_faults() -> None:
    output = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True
    ).stdout
    given_back, kept = map(int, output.split())
    assert given_back > 100
    assert kept < given_back / 10


class Allocator:
    """A C library whose mallopt accepts an M_MMAP_THRESHOLD of at most `most`."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.accepted: list[tuple[int, int]] = []

    def mallopt(self, option: int, value: int) -> int:
        accepts = option == allocator.M_TRIM_THRESHOLD or value <= self.most
        if accepts:
            self.accepted.append((option, value))
        return int(accepts)


@pytest.mark.parametrize(
    ("most", "accepted"),
    [
        (2**31, [(-3, 2**31 - 1), (-1, 2**31 - 1)]),
        (2**25, [(-3, 2**25), (-1, 2**31 - 1)]),  # an older glibc
        (2**10, []),  # with only the other threshold it would map every block
    ],
)
def test_trimming_is_off_only_if_the_mmap_threshold_is_accepted(
    monkeypatch: pytest.MonkeyPatch, most: int, accepted: list[tuple[int, int]]
) -> None:
    library = Allocator(most)
    monkeypatch.setattr("training.compute.allocator.ctypes.CDLL", lambda _: library)
    allocator.keep_freed_memory()
    assert library.accepted == accepted


def test_without_mallopt_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []

    def library(name: str | None) -> object:
        loaded.append(name)
        return object()

    monkeypatch.setattr("training.compute.allocator.ctypes.CDLL", library)
    allocator.keep_freed_memory()
    assert loaded == [None]
