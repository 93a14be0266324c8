"""Records of the event log: events, impressions and tombstones, as the service writes them.

The log is 64 Redis streams, `STREAMS`, or segments on disk (`export.contract.log.segments`). An
entry has a sequence number and a text with one record per line: one event, one tombstone, or
several impressions. A line is a JSON array: the letter of the kind, then the record's fields in
order, without `sequence`.

Rules of the log for all who read it; in this project that is `training.events`:

- The events of a session are sorted by `timestamp`, then `sequence`.
- Events of the same tenant, session ref and event id are one event; the first of them counts.
- A tombstone erases earlier records of its session, or events of its user; the docstring of
  `training/events/erasure.py` has the rule.

This module imports the standard library only.
"""

import json
from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any, NamedTuple

from export.contract.log.segments import framed
from export.contract.records import (
    FLAG,
    ID,
    IDS,
    Check,
    Checks,
    optional,
    shown,
    text_of,
    whole_number,
)

SCHEMA = 1
"""Version of the records."""

STREAM_FIELD = "r"
"""Name of the one field of a stream's entry; its value is the text of the entry."""

STREAMS = tuple(f"events:{{{number:02}}}" for number in range(64))
"""Keys of the Redis streams, such as `events:{07}`. Keys of sessions have the same hash tags."""

MAX_TEXT_BYTES = 1 << 20
"""Maximum number of bytes in the text of an entry."""
MAX_EVENT_ID_LENGTH = 128
MAX_TYPE_LENGTH = 64
"""Maximum number of characters of an event type."""
MAX_SHOWN_ITEMS = 1_000
"""Maximum number of items in an impression; a longer list is cut."""
MAX_VALUE = 1e12
"""Largest absolute value that an event adds to sums; larger ones would overflow their squares."""
MAX_FILTERS_LENGTH = 1_024
"""Maximum number of characters of the filters in an impression."""

_SEQUENCE_BITS = 20  # low bits of a sequence number, which count entries within one millisecond
_MAX_IN_ONE_MS = (1 << _SEQUENCE_BITS) - 1
_MAX_SEQUENCE = 2**63 - 1
_MAX_MS = 2**53


class EventLogError(ValueError):
    """An entry of the event log that cannot be read; the message has the wrong value."""


class Event(NamedTuple):
    """An interaction of a session with an item.

    Attributes:
        schema: version of the record.
        event_id: id of the event within its session: the client's, else a UUIDv7.
        tenant: owner of the session.
        session_ref: pseudonym of the session.
        event_type: kind of the event, such as `click`.
        item_id: id of the item, which the catalog may not have.
        timestamp: time of the event in ms since 1970; `received_at` if the client gave none.
        received_at: time in ms since 1970 at which the service received it.
        value: number that the client gave, such as a price; None if it gave none.
        recommendation_id: id of the answer that showed the item; None if the client gave none.
        user_ref: pseudonym of the user, which joins the sessions of one person; None if unknown.
        sequence: sequence number of the entry in the log; it rises within a session.
    """

    schema: int
    event_id: str
    tenant: str
    session_ref: str
    event_type: str
    item_id: str
    timestamp: int
    received_at: int
    value: float | None = None
    recommendation_id: str | None = None
    user_ref: str | None = None
    sequence: int = 0


class ImpressionRecord(NamedTuple):
    """A list of recommendations that the service answered.

    Attributes:
        schema: version of the record.
        recommendation_id: id of the answer: a UUIDv7 and 64 random bits, in hexadecimal digits.
        tenant: owner of the session.
        session_ref: pseudonym of the session; None for an answer without one.
        shown_at: time of the answer in ms since 1970.
        items: ids of the items, best first.
        variant: name of the variant that answered.
        model_version: version of the variant's bundle.
        source: name of the ranker that made the list.
        degraded: whether a part of the service was down.
        filters: filters of the request, a JSON object as text; empty without filters.
        sequence: sequence number of the entry in the log.
    """

    schema: int
    recommendation_id: str
    tenant: str
    session_ref: str | None
    shown_at: int
    items: Sequence[str]
    variant: str
    model_version: str
    source: str
    degraded: bool
    filters: str = ""
    sequence: int = 0


class Tombstone(NamedTuple):
    """An order to erase the log's records of a session, or its events of a user.

    Attributes:
        schema: version of the record.
        tenant: owner of the session or the user.
        session_ref: pseudonym of the session; None if the order is about a user.
        user_ref: pseudonym of the user; None if the order is about a session.
        at: time of the order in ms since 1970.
        sequence: sequence number of the entry in the log.
    """

    schema: int
    tenant: str
    session_ref: str | None
    user_ref: str | None
    at: int
    sequence: int = 0


Record = Event | ImpressionRecord | Tombstone

_TEXT, _MS = text_of(256, at_least=1), whole_number(-_MAX_MS, _MAX_MS, "a time in ms since 1970")
_NUMBER = Check(
    "a finite number",
    lambda value: (
        isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    ),
)
_CHECKS: Checks = {
    "schema": Check(str(SCHEMA), lambda value: value == SCHEMA),
    "event_id": text_of(MAX_EVENT_ID_LENGTH, at_least=1),
    "tenant": _TEXT,
    "session_ref": _TEXT,
    "event_type": text_of(MAX_TYPE_LENGTH, at_least=1),
    "item_id": ID,
    "timestamp": _MS,
    "received_at": _MS,
    "value": optional(_NUMBER),
    "recommendation_id": _TEXT,
    "user_ref": optional(_TEXT),
    "shown_at": _MS,
    "items": Check(
        f"at most {MAX_SHOWN_ITEMS} ids",
        lambda value: IDS.passes(value) and len(value) <= MAX_SHOWN_ITEMS,  # type: ignore[arg-type]
    ),
    "variant": _TEXT,
    "model_version": _TEXT,
    "source": _TEXT,
    "degraded": FLAG,
    "filters": text_of(MAX_FILTERS_LENGTH),
    "at": _MS,
}
_OPTIONAL = {
    (Event, "recommendation_id"),
    (ImpressionRecord, "session_ref"),
    (Tombstone, "session_ref"),
}
_KINDS: dict[object, type[Record]] = {"e": Event, "i": ImpressionRecord, "t": Tombstone}
_LETTERS = {kind: letter for letter, kind in _KINDS.items()}


class Entry(NamedTuple):
    """An entry of the log: its sequence number, and the lines of its records.

    Attributes:
        sequence: ms since 1970 times 2^20, plus a number within the ms.
        text: the records, one per line; `row_of` describes a line.
    """

    sequence: int
    text: str


def row_of(record: Record) -> tuple[Any, ...]:
    """Returns the values of a record's line: the letter of its kind, then its fields.

    `sequence` is left out, since it is stored with the entry.
    """
    return (_LETTERS[type(record)], *record[:-1])


def text_of_entry(records: Iterable[Record]) -> str:
    """Returns the text of an entry with the given records; `records_of` is the inverse."""
    return "\n".join(
        json.dumps(row_of(each), ensure_ascii=False, separators=(",", ":")) for each in records
    )


def records_of(entry: Entry) -> list[Record]:
    """Returns the records of an entry, in their order.

    Raises:
        EventLogError: the entry is too long, or a line is not a record.
    """
    if len(entry.text.encode("utf-8", "surrogatepass")) > MAX_TEXT_BYTES:
        raise EventLogError(f"an entry has more than {MAX_TEXT_BYTES:,} bytes")
    return [_record(line, entry.sequence) for line in entry.text.split("\n")]


def _record(line: str, sequence: int) -> Record:
    try:
        letter, *values = json.loads(line, parse_constant=_refuse)
        kind = _KINDS[letter]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise EventLogError(f"not a record of the event log: {shown(line)}") from error
    return record_from(kind, values, sequence)


def record_from(kind: type[Record], values: Sequence[Any], sequence: int) -> Record:
    """Makes a record from the values of its fields in order, all but `sequence`.

    Raises:
        EventLogError: the number of values is wrong, or a value fails its check.
    """
    names = kind._fields[:-1]
    if len(values) != len(names):
        raise EventLogError(f"{kind.__name__} with {len(values)} values, expected {len(names)}")
    for name, value in zip(names, values, strict=True):
        check = _check_of(kind, name)
        if not check.passes(value):
            raise EventLogError(
                f"{kind.__name__}.{name} = {shown(repr(value))}, expected {check.expected}"
            )
    return kind(*[*values, sequence])


def _check_of(kind: type[Record], name: str) -> Check:
    return optional(_CHECKS[name]) if (kind, name) in _OPTIONAL else _CHECKS[name]


def _refuse(text: str) -> float:
    raise ValueError(f"{text} is not a finite number")


def framed_entry(entry: Entry) -> bytes:
    """Encodes an entry of the event log as a record of a segment; `entry_of` reads its content."""
    return framed(f"{entry.sequence}\n{entry.text}".encode())


def entry_of(content: bytes) -> Entry:
    """Parses the content of a segment's record as an entry of the event log.

    Raises:
        EventLogError: the content is not an entry.
    """
    try:
        number, text = content.decode().split("\n", 1)
        return Entry(int(number), text)
    except ValueError as error:
        raise EventLogError(f"not an entry of the event log: {shown(content[:80])}") from error


def sequence_of(stream_id: str) -> int:
    """Converts the id of a Redis stream's entry, such as `1700000000000-0`, to a sequence number.

    Raises:
        EventLogError: `stream_id` is not such an id, or is too large.
    """
    milliseconds, dash, number = stream_id.partition("-")
    if not (dash and milliseconds.isdecimal() and number.isdecimal()):
        raise EventLogError(f"not the id of a stream's entry: {shown(stream_id)}")
    sequence = int(milliseconds) << _SEQUENCE_BITS | min(int(number), _MAX_IN_ONE_MS)
    if sequence > _MAX_SEQUENCE:
        raise EventLogError(f"the id of an entry is too large: {shown(stream_id)}")
    return sequence


def sequence_at(milliseconds: int, number: int) -> int:
    """Returns the sequence number of a numbered entry; it rises with the number and with time.

    `milliseconds` is the time in ms since 1970 at which the log has stored the entry.
    """
    return (milliseconds << _SEQUENCE_BITS) + number


def next_sequence(last: int, now_ms: int) -> int:
    """Returns the sequence number of the next entry of a log on disk.

    `last` is the number of the previous entry, and `now_ms` the current time in ms since 1970.
    """
    return max(last + 1, now_ms << _SEQUENCE_BITS)
