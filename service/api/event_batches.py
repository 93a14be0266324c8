"""Parses the body of a request with many events, in slices: a JSON object, or lines of JSON."""

from collections.abc import Generator, Mapping, Sequence
from typing import Any

import orjson
from pydantic import ValidationError

from service.api.problems import field_problem
from service.api.schemas.events import MAX_EVENTS, NewEvents, SessionEvent
from service.errors import InvalidRequestError

PATH = "/v1/events"
MAX_STRUCTURE = 12 * MAX_EVENTS
"""Maximum number of keys, objects and lists in a body: an event has at most ten keys."""

_LINES, _JSON = "application/x-ndjson", "application/json"
_IN_SLICE = 100

REQUEST_BODY: Mapping[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"JSON, or `{_LINES}` with one event per line and no list around them",
        "content": {_JSON: {"schema": {"$ref": f"#/components/schemas/{NewEvents.__name__}"}}},
    }
}
"""The request body in OpenAPI; FastAPI cannot derive it, since the handler parses the body."""

Parsed = SessionEvent | str
"""A valid event, or the error message for an invalid one."""


def request_schemas() -> dict[str, Any]:
    """Returns the OpenAPI schemas that `REQUEST_BODY` refers to, by name."""
    schema = NewEvents.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs"), NewEvents.__name__: schema}


def events_in(body: bytes, content_type: str) -> Generator[None, None, Sequence[Parsed]]:
    """Parses a body in slices; returns each event, or the error message for an invalid one.

    This generator yields before each slice of the work, and at last returns the list.

    Raises:
        InvalidRequestError: the content type is not supported, the body is not a list of events, or
            it has no events or too many.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    given = _lines(body) if media_type == _LINES else _listed(body, media_type)
    if not 1 <= len(given) <= MAX_EVENTS:
        raise InvalidRequestError("events", f"must be 1 to {MAX_EVENTS:,} events, not {len(given)}")
    parsed: list[Parsed] = []
    for start in range(0, len(given), _IN_SLICE):
        yield
        parsed += map(_event, given[start : start + _IN_SLICE])
    return parsed


def _lines(body: bytes) -> Sequence[bytes]:
    return [line for line in body.split(b"\n") if line.strip()]


def _listed(body: bytes, media_type: str) -> Sequence[object]:
    if media_type != _JSON:
        raise InvalidRequestError("body", f"must be sent as {_JSON} or as {_LINES}")
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError("body", f"is not JSON: {error}") from None
    if not isinstance(content, dict) or content.keys() != {"events"}:
        raise InvalidRequestError("body", "must be a JSON object with the one key `events`")
    events = content["events"]
    if not isinstance(events, list):
        raise InvalidRequestError("events", "must be a list of events")
    return events


def _event(given: object) -> Parsed:
    if not isinstance(given, bytes | dict):
        return "body: must be a JSON object"
    try:
        if isinstance(given, bytes):
            return SessionEvent.model_validate_json(given)
        return SessionEvent.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        problem = field_problem({**first, "loc": ("body", *first["loc"])})
        return f"{problem.field}: {problem.message}"
