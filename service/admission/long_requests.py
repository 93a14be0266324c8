"""Limits light requests with long bodies, which block the event loop longer than short ones."""

from collections.abc import MutableMapping
from typing import Any, Protocol

_LONG_BYTES = 4 << 10
"""Number of bytes in a body from which a light request is long: about 500 item ids."""

_MAX_TOGETHER = 3
"""Maximum number of long requests in progress while light requests are refused."""

_MAX_OTHERS = 1
"""Maximum number of light requests in progress when a group of long requests begins."""

_GROUP_SECONDS = 0.0004
"""Time from the begin of a group for which long requests can join it: one turn of the event loop.

Requests of one group share inferences, and light requests wait for all of them. So fewer and larger
groups leave more time for both kinds than single long requests in each turn.
"""

_MAX_WAIT_SECONDS = 0.006
"""Time from the begin of a group after which the next one begins whatever else is in progress."""


class Exchange(Protocol):
    """Protocol of uvicorn's object for a request and its answer.

    Attributes:
        scope: the ASGI scope of the request.
        body: the part of the request's body that has arrived.
        response_complete: whether the whole answer was sent.
        disconnected: whether the client has left.
    """

    scope: MutableMapping[str, Any]
    body: bytes
    response_complete: bool
    disconnected: bool


class LongRequests:
    """Decides which long requests start while light requests are refused, and counts them.

    They start in small groups, between which the light requests that came meanwhile are answered.
    """

    def __init__(self) -> None:
        """Starts without requests."""
        self._exchanges: list[Exchange] = []
        self._group_began = -_MAX_WAIT_SECONDS

    def add(self, exchange: Exchange) -> None:
        """Adds a long request; it counts until it is answered or its client leaves."""
        self._exchanges.append(exchange)

    def admits(self, working: int, now: float) -> bool:
        """Returns whether a long request may start; it may be the first one of a group.

        Args:
            working: number of light requests in progress, long ones among them.
            now: seconds of a clock that never goes back.
        """
        # Forgotten here, and not when each ends, since nearly all requests are not long.
        self._exchanges = [
            each for each in self._exchanges if not each.response_complete | each.disconnected
        ]
        if len(self._exchanges) >= _MAX_TOGETHER:
            return False
        since = now - self._group_began
        if since <= _GROUP_SECONDS:
            return True
        if working > _MAX_OTHERS and since < _MAX_WAIT_SECONDS:
            return False
        self._group_began = now
        return True


def is_long(length: int) -> bool:
    """Returns whether a light request with `length` bytes in its body is long."""
    return length > _LONG_BYTES
