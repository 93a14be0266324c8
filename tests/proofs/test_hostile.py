"""A short form of `python -m proofs hostile`: what holds on a machine of any speed."""

import math
import os
from mmap import mmap

from proofs.fixtures.processes.program_cost import PeakMemory
from proofs.hostile import prove


def test_hostile_connections_are_bounded_and_all_end_and_hostile_bodies_are_refused() -> None:
    figures = list(prove(connections=30, normal_seconds=0.5, of_deadlines=0.2))
    bounded = [each for each in figures if each.unit == "MiB"]
    assert [each.name for each in bounded] == [
        "memory grown",
        "300 MB of headers: sent",
        "300 MB of URL: sent",
        "dearest of 12 bodies that cannot be used: memory grown",
    ]
    assert [each.name for each in bounded if not each.holds] == []
    ended = [each for each in figures if each.name.endswith("connections: longest")]
    assert len(ended) == 3
    assert all(math.isfinite(each.value) for each in ended)
    assert figures[-1].name == "dearest of 12 bodies that cannot be used: answered in"
    assert math.isfinite(figures[-1].value)


def test_memory_that_is_given_back_counts() -> None:
    memory = PeakMemory(os.getpid())
    with mmap(-1, 64 << 20) as content:  # no allocator keeps it, as training lets malloc do
        for page in range(0, len(content), 4_096):
            content[page] = 1
    assert 60 < memory.grown_mib() < 80
    assert PeakMemory(os.getpid()).grown_mib() < 60
