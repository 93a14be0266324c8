"""The HistoryStore protocol.

tests/service/stores/history/test_stores.py runs one suite against every implementation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Event:
    """An event to store. Events of a session with the same `event_id` are stored once.

    `event_id` None: the event has no id, so every call stores it again.
    """

    item_id: str
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Retention:
    """Limits of what is stored of a session.

    Attributes:
        max_length: maximum number of events per session; older events are dropped.
        ttl_seconds: the session is erased this long after its last event.
    """

    max_length: int
    ttl_seconds: float


class HistoryStore(Protocol):
    """Stores the item ids of sessions, oldest first.

    Every method but `close` raises HistoryUnavailableError when the store does not answer. Methods
    that write raise HistoryRefusalError when it answers and refuses to write.
    """

    async def append(self, session_id: str, event: Event) -> Sequence[str]:
        """Stores `event` and returns the history that ends with it.

        If an event with the same `event_id` is stored already, nothing changes, and the returned
        history ends with that event. Concurrent calls lose no event.
        """
        ...

    async def read(self, session_id: str) -> Sequence[str]:
        """Returns the history; empty for a session that is unknown or expired."""
        ...

    async def forget(self, session_id: str) -> None:
        """Deletes the session, if there is one."""
        ...

    async def ping(self) -> None:
        """Returns if the store answers, else raises HistoryUnavailableError."""
        ...

    async def check_write(self) -> None:
        """Returns if the store can write; changes no session."""
        ...

    async def close(self) -> None:
        """Closes all connections."""
        ...
