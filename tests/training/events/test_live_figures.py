"""Live figures: a log whose counts can be worked out by hand, and a simulated population."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.contract.log.events import Event, ImpressionRecord
from export.contract.log.live_figures import (
    SCHEMA,
    LiveFigures,
    LiveReport,
    load_report,
    save_report,
)
from export.contract.records import BundleError
from training.events.live_figures import Outcomes, live_figures
from training.events.schema import table_of

FIGURES = LiveFigures("a", "v", "student", 3, 2, 1, 9.5, 90.25, [1, 1] + [0] * 18, 2, 1)


def shown(number: int, items: str, at: int, **more: Any) -> ImpressionRecord:
    fields = {"session_ref": "s", "variant": "a", "source": "student", **more}
    return ImpressionRecord(
        1, f"r{number}", "t", fields["session_ref"], at, list(items), fields["variant"], "v",
        fields["source"], False, "", number,
    )  # fmt: skip


def event(number: int, item: str, at: int, shown_by: int | None = None, **more: Any) -> Event:
    fields = {"session_ref": "s", "event_type": "click", "value": None, **more}
    named = None if shown_by is None else f"r{shown_by}"
    return Event(
        1, f"e{number}", "t", fields["session_ref"], fields["event_type"], item, at, at,
        fields["value"], named, None, number,
    )  # fmt: skip


def counted(events: list[Event], impressions: list[ImpressionRecord], **outcomes: Any) -> Any:
    return live_figures(
        table_of("event", [each._asdict() for each in events]),
        table_of("impression", [each._asdict() for each in impressions]),
        Outcomes(**outcomes),
    )


def test_clicks_conversions_value_and_hits_are_counted_by_variant() -> None:
    impressions = [
        shown(1, "xyz", 10),
        shown(2, "pq", 20),
        shown(3, "xy", 30),
        shown(4, "x", 10, session_ref=None, variant="b"),
    ]
    events = [
        event(1, "y", 11, shown_by=1),
        event(2, "z", 12, shown_by=1),
        event(3, "y", 21, shown_by=2),  # not in that list
        event(4, "x", 31, shown_by=3, event_type="purchase", value=9.5),
        event(5, "x", 5),
    ]
    first, second = counted(events, impressions)
    assert first == LiveFigures(
        "a", "v", "student", 3, 2, 1, 9.5, 90.25, [1, 1, 1] + [0] * 17, followed=3, hits=2
    )
    assert second == LiveFigures("b", "v", "student", 1, 0, 0, 0.0, 0.0, [0] * 20, 0, 0)


def test_only_the_named_event_types_are_clicks() -> None:
    events = [
        event(1, "x", 11, shown_by=1, event_type="view"),
        event(2, "x", 12, shown_by=1, event_type="order", value=1.0),
    ]
    (found,) = counted(events, [shown(1, "x", 10)], clicks=["click"], conversions=["order"])
    assert (found.clicked, found.converted, sum(found.clicks_by_place)) == (0, 1, 0)


def test_a_value_that_is_too_large_to_be_summed_up_is_left_out() -> None:
    values = [1e308, -1e200, float("nan"), 2.0, 1e12]
    events = [event(n, "x", 11, shown_by=n, value=value) for n, value in enumerate(values)]
    (found,) = counted(events, [shown(n, "x", 10) for n in range(len(values))])
    assert (found.clicked, found.value, found.value_squares) == (5, 1e12 + 2, 1e24 + 4)


def test_without_impressions_there_are_no_figures() -> None:
    assert counted([event(1, "x", 1)], []) == []


def test_the_counts_of_a_simulated_population_are_exact() -> None:
    random = np.random.default_rng(3)
    impressions, events, clicked = [], [], {"a": 0, "b": 0}
    for number in range(2_000):
        variant = "ab"[number % 2]
        impressions.append(
            shown(number, "wxyz", 10 * number, variant=variant, session_ref=f"s{number % 50}")
        )
        if random.random() < {"a": 0.1, "b": 0.2}[variant]:
            clicked[variant] += 1
            place = random.integers(4)
            events.append(
                event(number, "wxyz"[place], 10 * number + 5, number, session_ref=f"s{number % 50}")
            )
    found = {each.variant: each for each in counted(events, impressions)}
    assert {name: each.clicked for name, each in found.items()} == clicked
    assert {name: each.impressions for name, each in found.items()} == {"a": 1_000, "b": 1_000}


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    report = LiveReport(SCHEMA, None, 5, [FIGURES])
    save_report(report, tmp_path / "new" / "report.json")
    assert load_report(tmp_path / "new" / "report.json") == report
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["report.json"]


def test_a_report_that_could_not_be_read_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    save_report(LiveReport(SCHEMA, None, 5, [FIGURES]), path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_report(LiveReport(SCHEMA, None, 5, [replace(FIGURES, value=float("inf"))]), path)
    assert load_report(path).figures == [FIGURES]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"hits": 1', '"hits": 3', "more hits than lists"),
        ('"clicked": 2', '"clicked": 4', "more lists with an event than impressions"),
        ('"clicked": 2', '"clicked": -1', "clicked = -1, expected a whole number"),
        ('"schema": 2', '"schema": 3', "schema = 3"),
    ],
)
def test_a_report_that_cannot_be_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = tmp_path / "report.json"
    save_report(LiveReport(SCHEMA, None, 5, [FIGURES]), path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(BundleError, match=says):
        load_report(path)
