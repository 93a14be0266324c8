"""Records of the event log as other programs send them: a message is a JSON object.

`kind` is `event` (the default), `impression` or `tombstone`; the other keys are the fields of that
record in `export.contract.log.events`. A message may name a session and a user by their ids. The
log then gets the refs that the service computes from the same ids and the same secret.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from export.contract.log.events import (
    SCHEMA,
    Event,
    EventLogError,
    ImpressionRecord,
    Record,
    Tombstone,
    record_from,
    sequence_at,
)
from export.contract.records import ID, BundleError, check_values, parse_object, shown
from service.access.principal import DEFAULT_TENANT
from service.stores.session_refs import session_ref, user_ref

_KINDS: Mapping[str, type[Record]] = {
    "event": Event,
    "impression": ImpressionRecord,
    "tombstone": Tombstone,
}
_REFS = {"session_id": ("session_ref", session_ref), "user_id": ("user_ref", user_ref)}


class Place(NamedTuple):
    """Place of a message in its stream.

    Attributes:
        stream: name of the stream.
        number: number of the message in the stream; the first has 1.
        stored_at: time in ms since 1970 at which the stream has stored it.
    """

    stream: str
    number: int
    stored_at: int


def record_of(content: bytes, place: Place, secret: str | None = None) -> Record:
    """Converts a message to a record of the event log.

    A field without a value gets a default: times are the time of the message, an event's id is made
    from its place in the stream, and the tenant is that of a service without keys.

    Args:
        content: the message, a JSON object.
        place: place of the message in its stream.
        secret: the service's SESSION_SECRET, for messages with ids of sessions or users.

    Raises:
        EventLogError: the message is not a record; the error names the field and its value.
    """
    given = _object_of(content)
    kind = _kind_of(given.pop("kind", "event"))
    values = _with_refs({**_defaults(kind, place), **given}, secret)
    names = kind._fields[:-1]
    for problem, keys in (
        ("misses", set(names) - set(values)),
        ("has unknown", set(values) - set(names)),
    ):
        if keys:
            raise EventLogError(f"{kind.__name__} {problem} {shown(', '.join(sorted(keys)))}")
    if kind is Tombstone and (values["session_ref"] is None) == (values["user_ref"] is None):
        raise EventLogError("Tombstone names no session and no user, or both: name one")
    sequence = sequence_at(place.stored_at, place.number)
    return record_from(kind, [values[each] for each in names], sequence)


def _kind_of(name: object) -> type[Record]:
    if isinstance(name, str) and name in _KINDS:
        return _KINDS[name]
    raise EventLogError(f"kind = {shown(repr(name))}, expected one of {', '.join(_KINDS)}")


def _object_of(content: bytes) -> dict[str, Any]:
    try:
        found = parse_object("message", content)
        check_values("message", found)
    except BundleError as error:
        raise EventLogError(str(error)) from None
    return found


def _defaults(kind: type[Record], place: Place) -> dict[str, Any]:
    shared = {"schema": SCHEMA, "tenant": DEFAULT_TENANT}
    if kind is Tombstone:
        return {**shared, "session_ref": None, "user_ref": None, "at": place.stored_at}
    defaults = {**shared, **kind._field_defaults}
    del defaults["sequence"]
    if kind is ImpressionRecord:
        return {**defaults, "session_ref": None, "shown_at": place.stored_at}
    times = dict.fromkeys(("timestamp", "received_at"), place.stored_at)
    return {**defaults, **times, "event_id": f"{place.stream}:{place.number}:{place.stored_at}"}


def _with_refs(values: dict[str, Any], secret: str | None) -> dict[str, Any]:
    """Replaces the ids of a session and a user in `values` by refs, in place; returns `values`.

    Args:
        values: values of a record's fields by name, with any `session_id` and `user_id`.
        secret: the service's SESSION_SECRET, from which refs are computed.

    Raises:
        EventLogError: an id is malformed, stands beside its ref, or lacks the secret that it needs.
    """
    for name, (ref_name, ref_of) in _REFS.items():
        given, tenant = values.pop(name, None), values["tenant"]
        if given is None:
            continue
        if values.get(ref_name) is not None:
            raise EventLogError(f"{name} and {ref_name} are both given: send one of them")
        if secret is None:
            raise EventLogError(f"{name} needs the service's SESSION_SECRET; or send {ref_name}")
        for field, value in (("tenant", tenant), (name, given)):
            if not ID.passes(value):
                raise EventLogError(f"{field} = {shown(repr(value))}, expected {ID.expected}")
        values[ref_name] = ref_of(secret, tenant, given)
    return values
