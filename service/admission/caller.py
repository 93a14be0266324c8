"""Reads the sender of a request from the ASGI scope: its key, its deadline, its connection."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import Scope

DEFAULT_WAIT_SECONDS = 2
"""Time within which a heavy request must be answered, unless it says how long it waits."""

MAX_WAIT_SECONDS = 10
"""Maximum of the time that a request can ask for with `Prefer: wait=N`."""

_ANONYMOUS = ""
_WAIT = re.compile(
    rb"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?:[,;]|$)", re.ASCII | re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request.

    Attributes:
        key: the id of the API key; requests without one share an empty key.
        wait_seconds: time for which the sender waits for its answer.
        has_left: returns whether the sender has closed the connection.
    """

    key: str
    wait_seconds: float
    has_left: Callable[[], bool]


def caller_of(scope: Scope) -> Caller:
    """Reads the caller from the ASGI scope of its request.

    `scope["principal"]`, if there is one, has the attribute `key_id`. The server puts the client
    connection into `scope["connection"]`, with a method `has_left`; without it, nobody has left.
    """
    key = getattr(scope.get("principal"), "key_id", _ANONYMOUS)
    connection = scope.get("connection")
    has_left = connection.has_left if connection else _never
    return Caller(key, wait_seconds(scope["headers"]), has_left)


def wait_seconds(headers: list[tuple[bytes, bytes]]) -> float:
    """Returns the seconds of the preference `wait` (RFC 7240), from 1 to `MAX_WAIT_SECONDS`."""
    for name, value in headers:
        if name == b"prefer" and (found := _WAIT.search(value)):
            return min(max(1, int(found[1])), MAX_WAIT_SECONDS)
    return DEFAULT_WAIT_SECONDS


def _never() -> bool:
    return False
