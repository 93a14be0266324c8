"""A short form of `python -m proofs live_items`: what holds on a machine of any speed."""

import pytest

from proofs.live_items import prove
from proofs.live_items.hiding import shown_figures

TIMED = ("p99", "longest time", "after its answer")


@pytest.mark.slow
def test_hidden_items_are_gone_everywhere_and_no_change_in_bulk_is_lost() -> None:
    figures = list(prove(edits=490, added=10, rate=20, hidden=1, watched_seconds=0.3, items=0))
    untimed = [each for each in figures if not any(name in each.name for name in TIMED)]
    assert [each.name for each in untimed if not each.holds] == []
    values = {each.name: each.value for each in figures}
    routes = values["routes that can show an item"]
    assert values["routes that showed each of them before"] == routes == 16
    assert values["edits: changes in bulk"] == 490
    assert values["additions: changes in bulk"] == 10


@pytest.mark.parametrize(
    ("times", "held"),
    [
        ([(0.0, 0.3), (0.2, 0.0)], [True, True]),
        ([(0.1, 0.3), (0.2, 0.0)], [False, True]),  # the first was asked to hide the first item
        ([(0.0, 0.3), (0.6, 0.0)], [True, False]),
    ],
)
def test_the_worker_that_is_asked_hides_at_once_and_others_within_two_looks_for_changes(
    times: list[tuple[float, float]], held: list[bool]
) -> None:
    assert [each.holds for each in shown_figures((0, 1), times)] == held
