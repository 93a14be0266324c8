"""What a history store promises, whichever it is; one test suite holds all of them to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Event:
    """An interaction as it is stored; events with the same `event_id` are one event."""

    item_id: str
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of a session is kept: its newest events, until a silence of `ttl_seconds`."""

    max_length: int
    ttl_seconds: float


class HistoryStore(Protocol):
    """Sessions and their item ids, oldest first.

    Every method raises HistoryUnavailableError when the store does not answer.
    """

    async def append(self, session_id: str, event: Event) -> Sequence[str]:
        """Stores `event` and returns the history that ends with it.

        An `event_id` that is still kept changes nothing, and the history returned is again the
        one that ended with the first of them. Concurrent appends lose nothing.
        """
        ...

    async def read(self, session_id: str) -> Sequence[str]:
        """The history; empty for a session that is unknown or forgotten."""
        ...

    async def forget(self, session_id: str) -> None:
        """Removes the session, if there is one."""
        ...

    async def ping(self) -> None:
        """Returns if the store answers."""
        ...

    async def close(self) -> None:
        """Lets go of connections."""
        ...
