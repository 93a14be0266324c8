"""Limits light requests with long bodies, which block the event loop longer than short ones."""

from collections.abc import MutableMapping
from typing import Any, Protocol

_LONG_BYTES = 4 << 10
"""Number of bytes in a body from which a light request is long: about 500 item ids."""

_MAX_UNDER_STRAIN = 2
"""Maximum number of long requests in progress while light requests are refused."""


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
    """Counts the long requests in progress that started while light requests were refused."""

    def __init__(self) -> None:
        self._exchanges: list[Exchange] = []

    def add(self, exchange: Exchange) -> None:
        """Adds a long request; it counts until it is answered or its client leaves."""
        self._exchanges.append(exchange)

    def are_many(self) -> bool:
        """Returns whether the maximum number of long requests is in progress."""
        # Forgotten here, and not when each ends, since nearly all requests are not long.
        self._exchanges = [
            each for each in self._exchanges if not each.response_complete | each.disconnected
        ]
        return len(self._exchanges) >= _MAX_UNDER_STRAIN


def is_long(length: int) -> bool:
    """Returns whether a light request with `length` bytes in its body is long."""
    return length > _LONG_BYTES
