"""Decides which failed requests are sent again, and when; gives ids to events that have none."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar, cast
from uuid import uuid4

import httpx
from httpx import codes

from recommender_client.api_request import ApiRequest
from recommender_client.deadline import Deadline

T = TypeVar("T")

DEFAULT_REPEATS = 2
"""Largest number of repeats of a request."""

_FIRST_WAIT_SECONDS = 0.1
_LONGEST_WAIT_SECONDS = 2.0
_SPREAD_SECONDS = 0.25
"""Spreads the repeats of many clients that were refused at once."""

_PASSING = {
    codes.TOO_MANY_REQUESTS,
    codes.BAD_GATEWAY,
    codes.SERVICE_UNAVAILABLE,
    codes.GATEWAY_TIMEOUT,
}
# A second call would undo the first.
_NEVER_REPEATED = {("POST", "/v1/model/rollback")}


class Repeats:
    """Counts the repeats of one request."""

    def __init__(self, question: ApiRequest[T], repeats: int, deadline: Deadline) -> None:
        """Begins with the first try.

        Args:
            question: the request.
            repeats: largest number of repeats.
            deadline: end of the call; a wait that ends later, as `Retry-After` may name, is not
                begun.
        """
        is_never = (question.method, question.path) in _NEVER_REPEATED
        self._left = 0 if is_never else repeats
        self._deadline = deadline
        self._backoff = _FIRST_WAIT_SECONDS

    def wait_after(self, failure: httpx.Response | httpx.TransportError) -> float | None:
        """Returns the seconds to wait before the next try; None: there is none.

        Args:
            failure: the answer, or the reason why there is none. A timeout is not repeated.
        """
        wait = self._wait(failure)
        if wait is None or self._left == 0 or not self._deadline.leaves(wait):
            return None
        self._left -= 1
        self._backoff = min(2 * self._backoff, _LONGEST_WAIT_SECONDS)
        return wait

    def _wait(self, failure: httpx.Response | httpx.TransportError) -> float | None:
        named = None
        if isinstance(failure, httpx.Response):
            if failure.status_code not in _PASSING:
                return None
            named = _retry_after_seconds(failure.headers.get("Retry-After", ""))
        elif isinstance(failure, httpx.TimeoutException):
            return None
        if named is not None:
            return named + _SPREAD_SECONDS * random.random()  # noqa: S311 - no secret
        return self._backoff * random.random()  # noqa: S311 - no secret


def with_event_ids(question: ApiRequest[T]) -> ApiRequest[T]:
    """Returns the request with a random `event_id` for each event that has none."""
    body = question.body
    if question.method != "POST" or body is None:
        return question
    if question.path == "/v1/sessions/{session_id}/events":
        return replace(question, body=_with_id(body))
    if question.path == "/v1/events":
        events = cast("Sequence[Mapping[str, Any]]", body["events"])
        return replace(question, body={**body, "events": [_with_id(each) for each in events]})
    return question


def _with_id(event: Mapping[str, object]) -> Mapping[str, object]:
    return event if event.get("event_id") else {**event, "event_id": uuid4().hex}


def _retry_after_seconds(given: str) -> float | None:
    """Parses `Retry-After`, a number of seconds or a date; None: it is neither."""
    if given.isdecimal():
        return float(given)
    try:
        return max(0.0, (parsedate_to_datetime(given) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError, OverflowError):  # the last for a part of too many digits
        return None
