"""Which events are accepted, by their types and times."""

import time
from typing import Any

import pytest
from pydantic import ValidationError

from export.contract.log.events import Entry, Event, records_of
from service.api.schemas.events import NewEvent
from service.errors import InvalidRequestError
from service.events.ids import SortableIds
from service.events.intake import EventIntake
from service.settings import Settings
from service.stores.history.protocol import Session

DAY_MS = 24 * 3600 * 1000


def now() -> int:
    return time.time_ns() // 1_000_000


def intake(**settings: Any) -> EventIntake:
    return EventIntake(Settings.model_validate(settings), SortableIds())


def given(**more: Any) -> NewEvent:
    return NewEvent.model_validate({"item_id": "a", **more})


def test_events_of_all_types_belong_in_the_history_by_default() -> None:
    for event_type in (None, "click", "view", "cart", "purchase"):
        assert intake().event_of(given(event_type=event_type), None, "t").is_for_history


def test_the_settings_choose_the_types_and_those_of_the_history() -> None:
    chosen = intake(event_types="play, like , skip", history_event_types="play,like")
    assert chosen.event_of(given(), None, "t").is_for_history
    assert not chosen.event_of(given(event_type="skip"), None, "t").is_for_history
    with pytest.raises(InvalidRequestError, match=r"must be one of play, like, skip .*'click'"):
        chosen.event_of(given(event_type="click"), None, "t")


@pytest.mark.parametrize("offset", [-DAY_MS + 60_000, 0, 9_000])
def test_a_time_within_the_bounds_is_accepted(offset: int) -> None:
    bounded = intake(
        event_log="on", event_max_age_seconds=DAY_MS / 1000, event_max_ahead_seconds=10
    )
    sent = now() + offset
    text = bounded.event_of(given(timestamp=sent), Session("ref"), "t").log_text
    assert text is not None
    (logged,) = records_of(Entry(1, text))
    assert isinstance(logged, Event)
    assert logged.timestamp == sent


@pytest.mark.parametrize("offset", [-DAY_MS - 60_000, 70_000, -1_000_000_000_000, 2**52])
def test_a_time_outside_of_the_bounds_is_refused_with_value_and_bounds(offset: int) -> None:
    bounded = intake(event_max_age_seconds=DAY_MS / 1000, event_max_ahead_seconds=10)
    sent = now() + offset
    with pytest.raises(InvalidRequestError) as refused:
        bounded.event_of(given(timestamp=sent), None, "t")
    assert refused.value.field == "timestamp"
    assert refused.value.message == (
        "must be a time in ms since 1970, at most 86400 s ago (EVENT_MAX_AGE_SECONDS) "
        f"and at most 10 s ahead (EVENT_MAX_AHEAD_SECONDS), not {sent}"
    )


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"event_types": " , "}, "EVENT_TYPES = ' , ' needs names"),
        ({"event_types": "x" * 65}, "names of 1 to 64 characters"),
        ({"history_event_types": "click, play"}, "HISTORY_EVENT_TYPES has play, which EVENT_TYPES"),
    ],
)
def test_settings_that_name_no_types_are_refused(settings: dict[str, str], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Settings.model_validate(settings)
