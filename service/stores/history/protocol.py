"""The HistoryStore protocol.

tests/service/stores/history/test_stores.py runs one suite against every implementation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

NotStored = Literal[
    "store_unavailable", "store_refused", "journalled", "journal_full", "journal_failed"
]
"""Why an event is not in its history, in the words of the answer."""


class Session(NamedTuple):
    """The current name and the former names of a session in the history store.

    Attributes:
        ref: the name under which it is written.
        former_refs: names under SESSION_SECRET_OLD.
        old_id: the session id, by which releases up to 0.1 named it; None: these are not looked
            for.
    """

    ref: str
    former_refs: Sequence[str] = ()
    old_id: str | None = None

    def __repr__(self) -> str:
        """Returns the ref alone: a session id must not reach logs."""
        return f"Session({self.ref})"


@dataclass(frozen=True, slots=True)
class Event:
    """An event to store. Events of a session with the same `event_id` are stored once.

    `event_id` None: the event has no id, so every call stores it again.
    """

    item_id: str
    event_id: str | None = None


_MIN_EVENT_IDS = 1_000


@dataclass(frozen=True, slots=True)
class Retention:
    """Limits of what is stored of a session.

    Attributes:
        max_length: maximum number of events per session; older events are dropped.
        ttl_seconds: the session is erased this long after its last event.
        event_id_seconds: window in which a second event with the same id is not stored.
    """

    max_length: int
    ttl_seconds: float
    event_id_seconds: float

    @property
    def max_event_ids(self) -> int:
        """Maximum number of event ids per session; older ids no longer count."""
        return max(self.max_length, _MIN_EVENT_IDS)


class ReplayableStore(Protocol):
    """Stores events that were kept elsewhere while a history store failed."""

    async def insert(self, ref: str, event: Event, at: int) -> None:
        """Stores `event` at its place in the history of the session with this ref.

        Does nothing if an event with this id was stored within its window, or if the session was
        erased after `at`.

        Args:
            ref: ref of the session.
            event: an event with an id.
            at: time of the event in µs since 1970.

        Raises:
            HistoryUnavailableError: the event is possibly not stored.
        """
        ...

    async def close(self) -> None:
        """Closes all connections."""
        ...


class HistoryStore(Protocol):
    """Stores the item ids of sessions, oldest first.

    `read` finds a session under a former name, and `append` moves it to the current one. Where
    several names hold events, `read` returns those of the most recent name, until an append has
    joined them all.

    Every method but `close` raises HistoryUnavailableError when the store does not answer. Methods
    that write raise HistoryRefusalError when it answers and refuses to write.
    """

    async def append(self, session: Session, event: Event) -> Sequence[str]:
        """Stores `event` and returns the history that ends with it.

        If an event with the same `event_id` was stored within its window, nothing changes, and the
        returned history ends with that event. If that event was trimmed away, all of the history is
        returned. Concurrent calls lose no event.
        """
        ...

    async def read(self, session: Session) -> Sequence[str]:
        """Returns the history; empty for a session that is unknown or expired."""
        ...

    async def forget(self, session: Session) -> None:
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
