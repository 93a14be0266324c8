"""A short form of `python -m proofs replica_memory`: a small catalog, and few requests."""

import pytest

from proofs.replica_memory import prove
from tests.exported_once import exported_once

__all__ = ["exported_once"]  # a fixture

NUM_ITEMS = 3_000  # as in the test of proofs.large_catalog, which has the same student


@pytest.mark.slow
def test_the_memory_of_a_replica_is_read_when_ready_under_load_and_during_a_swap() -> None:
    started, ready, used, peak, after = prove(sizes=(NUM_ITEMS,), num_requests=50)

    assert started.unit == "s"
    assert ready.name == "3,000 items, ready"
    assert 50 < ready.value <= used.value + 1
    assert used.value < peak.value, "the child process that checks the next bundle counts"
    assert 50 < after.value <= peak.value + 5  # the peak is sampled
