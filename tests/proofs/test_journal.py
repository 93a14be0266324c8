"""A short form of `python -m proofs journal`: what holds on a machine of any speed."""

from proofs.journal import prove


def test_events_that_were_journalled_are_stored_once_in_order_after_a_kill() -> None:
    figures = {each.name: each for each in prove(rate=60, seconds=3)}
    assert figures["journalled"].value > 0
    assert [each.name for each in figures.values() if not each.holds] == []
