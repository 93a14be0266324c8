import ctypes
import subprocess
import sys

import pytest

from training import memory

FAULTS = """
import resource, sys, torch
from training.memory import keep_freed_memory

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


def test_where_the_allocator_is_another_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.memory.ctypes.CDLL", lambda _: object())
    memory.keep_freed_memory()
