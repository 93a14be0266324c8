"""Messages of other programs become records of the event log, or errors that name the field."""

import json
from typing import Any

import pytest

from distilled_recommender.collector.nats_messages import Place, record_of
from export.contract.log.events import Event, EventLogError, ImpressionRecord, Tombstone
from service.stores.session_refs import session_ref, user_ref

PLACE = Place("events", number=7, stored_at=1_700_000_000_000)
SEQUENCE = 1_700_000_000_000 * 2**20 + 7
SECRET = "s" * 32
CLICK = {"session_ref": "ann", "item_id": "a", "event_type": "click"}


def record(secret: str | None = None, **fields: Any) -> object:
    return record_of(json.dumps(fields).encode(), PLACE, secret)


def test_an_event_needs_session_item_and_type_only() -> None:
    at = PLACE.stored_at
    expected = Event(
        1,
        "events:7:1700000000000",
        "default",
        "ann",
        "click",
        "a",
        at,
        at,
        None,
        None,
        None,
        SEQUENCE,
    )
    assert record(**CLICK) == expected


def test_what_a_message_says_is_kept() -> None:
    given: dict[str, Any] = {
        "schema": 1,
        "event_id": "e1",
        "tenant": "shop",
        "timestamp": 5,
        "received_at": 6,
        "value": 9.5,
        "recommendation_id": "r1",
        "user_ref": "u1.x",
    }
    found = record(kind="event", **CLICK, **given)

    assert isinstance(found, Event)
    assert found._asdict() == {**CLICK, **given, "sequence": SEQUENCE}


def test_a_list_that_was_shown_and_an_erasure_are_records_too() -> None:
    shown = record(
        kind="impression",
        recommendation_id="r1",
        items=["a", "b"],
        variant="main",
        model_version="v",
        source="student",
        degraded=False,
    )
    at = PLACE.stored_at
    assert shown == ImpressionRecord(
        *(1, "r1", "default", None, at, ["a", "b"], "main", "v", "student", False, "", SEQUENCE)
    )
    assert record(kind="tombstone", session_ref="ann") == Tombstone(
        1, "default", "ann", None, at, SEQUENCE
    )


def test_ids_become_the_refs_that_the_service_makes_of_them() -> None:
    found = record(
        SECRET, tenant="shop", session_id="s1", user_id="ann", item_id="a", event_type="click"
    )

    assert isinstance(found, Event)
    assert found.session_ref == session_ref(SECRET, "shop", "s1")
    assert found.user_ref == user_ref(SECRET, "shop", "ann")
    erased = record(SECRET, kind="tombstone", user_id="ann")
    assert isinstance(erased, Tombstone)
    assert (erased.session_ref, erased.user_ref) == (None, user_ref(SECRET, "default", "ann"))


def test_the_sequence_rises_with_number_and_time_of_the_messages() -> None:
    places = [Place("events", *each) for each in ((7, 1_000), (8, 1_000), (9, 1_001), (10, 1_002))]
    content = json.dumps(CLICK).encode()

    sequences = [record_of(content, each).sequence for each in places]

    assert sequences == sorted(set(sequences))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"kind": "click"}, "kind = 'click', expected one of event, impression, tombstone"),
        ({"kind": []}, "kind = "),
        ({"item_id": None}, "Event.item_id = None"),
        ({"colour": "red"}, "Event has unknown colour"),
        ({"sequence": 3}, "Event has unknown sequence"),
        ({"schema": 2}, "Event.schema = 2, expected 1"),
        ({"timestamp": 10**30}, "whole numbers are at most"),
        ({"value": "9"}, "Event.value = '9', expected a finite number"),
        ({"item_id": "\ud800"}, "not a string of Unicode characters"),
        ({"session_id": "s1"}, "session_id and session_ref are both given"),
        ({"user_id": "ann"}, "user_id needs the service's SESSION_SECRET"),
        ({"kind": "tombstone"}, "Tombstone has unknown event_type, item_id"),
    ],
)
def test_what_is_no_record_is_told_by_its_field(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(EventLogError, match=expected):
        record(**{**CLICK, **fields})


@pytest.mark.parametrize("fields", [{}, {"session_ref": "ann", "user_ref": "u1.x"}])
def test_an_erasure_names_a_session_or_a_user(fields: dict[str, Any]) -> None:
    with pytest.raises(EventLogError, match="no session and no user, or both"):
        record(kind="tombstone", **fields)


@pytest.mark.parametrize("fields", [{"session_id": ["s1"]}, {"session_id": "s1", "tenant": 3}])
def test_an_id_that_is_no_text_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(EventLogError, match="expected a string of 1 to 256 characters"):
        record(SECRET, item_id="a", event_type="click", **fields)


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b'{"value": 1e999}', b"[" * 100_000])
def test_a_message_that_is_no_json_object_is_refused(content: bytes) -> None:
    with pytest.raises(EventLogError, match="message: not"):
        record_of(content, PLACE)


def test_an_event_without_a_session_is_told() -> None:
    with pytest.raises(EventLogError, match="Event misses event_type, session_ref"):
        record(item_id="a")
