"""A short form of `python -m proofs lifecycle`: what holds on a machine of any speed."""

import pytest

from proofs import lifecycle
from tests.conftest import TIMEOUT_SECONDS

SHORTER = {
    "DRAIN_SECONDS": lifecycle.ACCEPTED_SECONDS + 8,  # the machine may stall while it drains
    "READY_SECONDS": TIMEOUT_SECONDS,
    "NUM_CLIENTS": 4,
    "PAUSE_SECONDS": 0.1,
}


@pytest.mark.slow
def test_sigterm_during_the_start_and_under_load_ends_with_code_0_and_fails_no_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in SHORTER.items():
        monkeypatch.setattr(lifecycle, name, value)
    figures = {each.name: each for each in lifecycle.prove(moments=2, seed=5)}
    for workers in ("1 worker", "2 workers"):
        assert figures[f"{workers}: other exit code than 0"].value == 0
        assert figures[f"{workers}: answered"].value > 0
        assert figures[f"{workers}: accepted and failed"].value == 0
