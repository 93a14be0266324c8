"""The HistoryStore protocol: what every store of session histories must do.

tests/service/stores/history/test_stores.py runs one suite against every implementation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

NotStored = Literal[
    "not_in_history",
    "store_unavailable",
    "store_refused",
    "journalled",
    "journal_full",
    "journal_failed",
]
"""Reasons why an event is not in the history store; answers to clients contain them."""


class Session(NamedTuple):
    """The current name and the former names of a session in the history store.

    Attributes:
        ref: the session ref, under which events are written.
        former_refs: session refs computed with SESSION_SECRET_OLD.
        old_id: the session id, under which checkouts before 0.1.0 stored a session; None if
            such sessions are not searched for.
    """

    ref: str
    former_refs: Sequence[str] = ()
    old_id: str | None = None

    def __repr__(self) -> str:
        """Returns a text with the session ref only, since the session id must not reach logs."""
        return f"Session({self.ref})"


@dataclass(frozen=True, slots=True)
class Event:
    """An event to store.

    If a session gets several events with the same `event_id` within `Retention.event_id_seconds`,
    only the first is stored. An event whose `event_id` is None is always stored.

    Attributes:
        item_id: id of the item.
        event_id: the client's id of the event.
        is_for_history: whether the event belongs in the history of its session.
        log_text: text of the event's entry in the event log; None: it is not logged.
        user_ref: user ref of the user, whose sessions can be erased together; None: unknown.
    """

    item_id: str
    event_id: str | None = None
    is_for_history: bool = True
    log_text: str | None = None
    user_ref: str | None = None


_MIN_EVENT_IDS = 1_000
MAX_SESSIONS = 1_000
"""Maximum number of sessions per user that Redis remembers: those with the newest events."""
MAX_USERS = 16
"""Maximum number of users per session that a store remembers: those of the newest events."""


@dataclass(frozen=True, slots=True)
class Retention:
    """Limits on the stored data of a session.

    Attributes:
        max_length: maximum number of events per session; older events are dropped.
        ttl_seconds: time from the last event to the erasure of the session.
        event_id_seconds: time after an event during which events with the same id are not stored.
    """

    max_length: int
    ttl_seconds: float
    event_id_seconds: float

    @property
    def max_event_ids(self) -> int:
        """Maximum number of event ids that are remembered per session; the oldest are forgotten."""
        return max(self.max_length, _MIN_EVENT_IDS)


class ReplayableStore(Protocol):
    """Protocol of a history store into which a journal can be replayed."""

    async def insert(self, ref: str, event: Event, at: int) -> None:
        """Inserts `event` into the history of a session, at its place by time.

        Does nothing if the event's id is still remembered, or if the event is older than
        `Retention.ttl_seconds`. Does nothing either if the session or the user was erased at the
        time `at` or later. If a store with an event log stores the event, it also logs
        `event.log_text`.

        Args:
            ref: session ref of the session.
            event: an event with an id.
            at: time of the event in µs since 1970.

        Raises:
            HistoryUnavailableError: the store does not answer or refuses to write. The event
                may not be stored.
            NotLoggedError: the event is stored, but left out of the log.
        """
        ...

    async def close(self) -> None:
        """Closes all connections."""
        ...


class HistoryStore(Protocol):
    """Protocol of a store of session histories; a history is item ids, oldest first.

    A session's events can be stored under its current name and under former names. `read` returns
    the events of one name: the current one, if it has any. `append` first moves the events of all
    former names to the current one.

    A store can have parts that are lost one by one; a session lies in one of them.

    Every method except `close` raises HistoryUnavailableError if the store does not answer. Methods
    that write raise HistoryRefusalError if the store answers but refuses to write.
    """

    @property
    def num_parts(self) -> int:
        """Number of parts of the store."""
        ...

    async def append(self, session: Session, event: Event) -> Sequence[str]:
        """Stores `event` and returns the history that ends with it.

        Stores nothing if the session has an event with the same `event_id` that is at most
        `event_id_seconds` old. The returned history then ends with that event. If that event was
        dropped because of `max_length`, the whole history is returned. Concurrent calls lose no
        event.

        If a store with an event log stores the event now, it also logs `event.log_text`. If the
        event is not for the history, the store keeps only its event id, so that the event is logged
        once.

        Raises:
            NotLoggedError: the event is stored, but left out of the log.
        """
        ...

    async def read(self, session: Session) -> Sequence[str]:
        """Returns the history of a session; it is empty if the session is unknown or expired."""
        ...

    async def forget(self, session: Session, tombstones: Sequence[str] = ()) -> None:
        """Deletes all stored data of a session; does nothing if the session is unknown.

        `tombstones`: texts of entries for the event log, if the store has one: one for the session
        ref, then one for each former ref.
        """
        ...

    async def sessions_of(self, user_ref: str) -> Sequence[str]:
        """Returns the session refs of all sessions that have an event of a user."""
        ...

    async def forget_user(self, user_ref: str, tombstone: str | None) -> None:
        """Deletes the list of a user's sessions; the sessions themselves stay.

        `tombstone`: text of an entry for the event log, if the store has one; None: no entry is
        written.
        """
        ...

    def part_of(self, ref: str) -> int:
        """Returns the number, from 0, of the part that has a session ref or a user ref."""
        ...

    def parts_by_node(self) -> Sequence[Sequence[int]]:
        """Returns the parts in groups: those of one node, which are lost together.

        A part whose node is not known yet is a group by itself.
        """
        ...

    async def ping_part(self, part: int) -> None:
        """Checks that a part answers; raises HistoryUnavailableError if it does not."""
        ...

    async def ping(self) -> None:
        """Checks that the store answers; raises HistoryUnavailableError if it does not."""
        ...

    async def check_write(self) -> None:
        """Checks that the store accepts writes, without changing a session.

        Raises:
            HistoryRefusalError: the store refuses to write.
            HistoryUnavailableError: the store does not answer.
        """
        ...

    async def close(self) -> None:
        """Closes all connections."""
        ...
