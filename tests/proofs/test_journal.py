"""A short form of `python -m proofs journal`: what holds on a machine of any speed."""

from pathlib import Path

import pytest

from proofs.journal import prove


def test_events_that_were_journalled_are_stored_once_in_order_after_a_kill() -> None:
    figures = {each.name: each for each in prove(rate=60, seconds=3)}
    assert figures["journalled"].value > 0
    assert [each.name for each in figures.values() if not each.holds] == []


def test_a_service_that_ends_at_its_start_ends_the_proof_at_once(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ended with exit code"):
        list(prove(bundle=tmp_path / "nowhere", rate=60, seconds=3))
