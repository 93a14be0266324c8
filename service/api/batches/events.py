"""Parses the body of a request with many events."""

from collections.abc import Generator, Sequence

from pydantic import ValidationError

from service.admission.costs import MAX_EVENTS
from service.api.batches.bodies import BatchBody, first_problem, read_record
from service.api.schemas.events import NewEvents, SessionEvent

BODY = BatchBody("/v1/events", "events", MAX_EVENTS, 12 * MAX_EVENTS, NewEvents)
"""An event has at most ten keys."""

Parsed = SessionEvent | str
"""A valid event, or the error message for an invalid one."""


def events_in(body: bytes, content_type: str) -> Generator[None, None, Sequence[Parsed]]:
    """Parses a body in slices, as `BatchBody.parsed` does."""
    return BODY.parsed(body, content_type, _event)


def _event(given: object) -> Parsed:
    record, problem = read_record(given, SessionEvent.model_fields.keys())
    if problem:
        return problem
    try:
        return SessionEvent.model_validate(record)
    except ValidationError as error:
        return first_problem(error)
