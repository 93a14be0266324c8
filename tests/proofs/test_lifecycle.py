"""A short form of `python -m proofs lifecycle`."""

import pytest

from proofs.lifecycle import DRAIN_SECONDS, END_SECONDS, prove

BUSY_SECONDS = 2  # for a busy machine


@pytest.mark.slow
def test_sigterm_during_the_start_and_under_load_ends_with_code_0_and_fails_no_request() -> None:
    figures = {each.name: each for each in prove(moments=2, seed=5)}
    for workers in ("1 worker", "2 workers"):
        assert figures[f"{workers}: other exit code than 0"].value == 0
        assert figures[f"{workers}: answered"].value > 20
        assert figures[f"{workers}: accepted and failed"].value == 0
        longest = figures[f"{workers}: longest end"].value
        assert longest <= DRAIN_SECONDS + END_SECONDS + BUSY_SECONDS
