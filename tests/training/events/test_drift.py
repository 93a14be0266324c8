"""Drift is counted by hand: unknown items, popular items, and the busiest session."""

from export.contract.log.live_figures import Drift
from tests.training.event_log import event
from training.events.drift import drift_of, head_of
from training.events.schema import table_of

POPULARITY = {"d": 1, "a": 10, "b": 5, "c": 4}


def test_the_head_is_the_fewest_items_with_half_of_the_interactions() -> None:
    assert head_of(POPULARITY) == {"a"}
    assert head_of({"a": 3, "b": 3, "c": 2}) == {"a", "b"}
    assert head_of({"a": 0}) == set()


def test_events_are_counted_by_items_and_by_sessions() -> None:
    rows = [
        *(event("ann", "a", at) for at in range(3)),
        *(event("bob", "d", at) for at in range(2)),
        event("ann", "new", 9, tenant="other"),
    ]

    assert drift_of(table_of("event", rows), POPULARITY, "v", 5) == Drift(
        "v", 5, events=6, unknown=1, head=3, head_share=0.5, busiest=3
    )


def test_without_events_everything_is_zero_but_the_training() -> None:
    drift = drift_of(table_of("event", []), POPULARITY, "v", 5)

    assert drift == Drift("v", 5, events=0, unknown=0, head=0, head_share=0.5, busiest=0)
