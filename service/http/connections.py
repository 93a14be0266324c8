"""The open connections of a worker: how many there may be, and until when each may stay."""

import asyncio
from collections import Counter
from typing import Protocol

MAX_CONNECTIONS = 4096
"""Maximum number of open connections of a worker."""

MAX_CLIENT_CONNECTIONS = 2048
"""Maximum number of open connections from one address; a proxy is one address."""

NEVER = float("inf")
"""A deadline that does not pass."""

_SWEEP_SECONDS = 0.5


class Connection(Protocol):
    """A connection with a deadline, in seconds of the event loop's clock."""

    deadline: float

    def expire(self) -> None:
        """Ends the connection, whose deadline has passed."""


class Connections:
    """Counts the connections of one event loop and ends those whose deadline has passed.

    A sweep twice a second looks at all of them, because a timer for each request would cost more.
    So a connection ends up to half a second late.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._addresses: dict[Connection, str] = {}
        self._by_address: Counter[str] = Counter()
        self._is_sweeping = False

    def add(self, connection: Connection, address: str) -> bool:
        """Adds a connection; returns False, and adds nothing, if there are too many."""
        is_full = len(self._addresses) >= MAX_CONNECTIONS
        if is_full or self._by_address[address] >= MAX_CLIENT_CONNECTIONS:
            return False
        self._addresses[connection] = address
        self._by_address[address] += 1
        if not self._is_sweeping:
            self._is_sweeping = True
            self._loop.call_later(_SWEEP_SECONDS, self._sweep)
        return True

    def remove(self, connection: Connection) -> None:
        """Removes a connection, if it was added."""
        address = self._addresses.pop(connection, None)
        if address is not None:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    def _sweep(self) -> None:
        now = self._loop.time()
        for each in [each for each in self._addresses if each.deadline < now]:
            each.expire()
        self._is_sweeping = bool(self._addresses)
        if self._is_sweeping:
            self._loop.call_later(_SWEEP_SECONDS, self._sweep)
