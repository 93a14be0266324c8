"""A short form of `python -m proofs lifecycle`: what holds on a machine of any speed."""

import pytest

from proofs import lifecycle

DRAIN_SECONDS = lifecycle.ACCEPTED_SECONDS + 2  # the machine may stall while the service drains


@pytest.mark.slow
def test_sigterm_during_the_start_and_under_load_ends_with_code_0_and_fails_no_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lifecycle, "DRAIN_SECONDS", DRAIN_SECONDS)
    figures = {each.name: each for each in lifecycle.prove(moments=2, seed=5)}
    for workers in ("1 worker", "2 workers"):
        assert figures[f"{workers}: other exit code than 0"].value == 0
        assert figures[f"{workers}: answered"].value > 0
        assert figures[f"{workers}: accepted and failed"].value == 0
