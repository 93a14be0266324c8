"""Describes the sender of a request: its key, its waiting time and its connection."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.types import Scope

DEFAULT_WAIT_SECONDS = 2
"""Seconds within which a heavy request must be answered if it has no header `Prefer: wait=N`."""

MAX_WAIT_SECONDS = 10
"""Maximum number of seconds for which a request can wait; limits the N of `Prefer: wait=N`."""

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
        has_left: function that returns whether the sender has closed the connection.
    """

    key: str
    wait_seconds: float
    has_left: Callable[[], bool]


def caller_of(scope: Scope) -> Caller:
    """Makes the Caller of a request from its ASGI scope.

    The key is the `key_id` of `scope["principal"]`; without a principal, it is empty. The server
    puts the client's connection into `scope["connection"]`, whose method `has_left` tells whether
    the client has left. Without a connection, the client counts as present.
    """
    key = getattr(scope.get("principal"), "key_id", _ANONYMOUS)
    connection = scope.get("connection")
    has_left = connection.has_left if connection else _never
    return Caller(key, wait_seconds(scope["headers"]), has_left)


def wait_seconds(headers: Sequence[tuple[bytes, bytes]]) -> float:
    """Returns N of the header `Prefer: wait=N` (RFC 7240), in seconds.

    N is raised to 1 or lowered to `MAX_WAIT_SECONDS`. Without this header, returns
    `DEFAULT_WAIT_SECONDS`.
    """
    for name, value in headers:
        if name == b"prefer" and (found := _WAIT.search(value)):
            return min(max(1, int(found[1])), MAX_WAIT_SECONDS)
    return DEFAULT_WAIT_SECONDS


def _never() -> bool:
    return False
