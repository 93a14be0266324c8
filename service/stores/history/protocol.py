"""The HistoryStore protocol.

tests/service/stores/history/test_stores.py runs one suite against every implementation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Event:
    """A stored interaction; events with the same `event_id` are one event."""

    item_id: str
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of a session is stored: its newest events, until `ttl_seconds` pass without one."""

    max_length: int
    ttl_seconds: float


class HistoryStore(Protocol):
    """Stores the item ids of sessions, oldest first.

    Every method but `close` raises HistoryUnavailableError when the store does not answer.
    """

    async def append(self, session_id: str, event: Event) -> Sequence[str]:
        """Stores `event` and returns the history that ends with it.

        If the `event_id` is stored already, nothing changes, and the returned history ends with
        the first event of that id. Concurrent appends lose no event.
        """
        ...

    async def read(self, session_id: str) -> Sequence[str]:
        """Returns the history; empty for a session that is unknown or expired."""
        ...

    async def forget(self, session_id: str) -> None:
        """Deletes the session, if there is one."""
        ...

    async def ping(self) -> None:
        """Checks that the store answers."""
        ...

    async def close(self) -> None:
        """Closes all connections."""
        ...
