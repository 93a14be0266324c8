"""A history store in the memory of the process, for a service with one worker and for tests."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from service.errors import HistoryRefusalError
from service.stores.event_log.disk_log import DiskLog, left_out_by
from service.stores.event_log.protocol import LeftOut, NoteNew, NotLoggedError
from service.stores.group_commit import DiskError
from service.stores.history.protocol import Event, Retention, Session
from service.stores.history.user_sessions import UserSessions


@dataclass(slots=True)
class _Known:
    """The time of a remembered event id, and whether the event is in the event log.

    Attributes:
        at: time of the event, in seconds of the store's clock.
        left_out: why the event was left out of the event log; None: it was not left out.
        settled: set when the event is logged or left out; None: the event is not being written.
    """

    at: float
    left_out: LeftOut | None = None
    settled: asyncio.Event | None = None


@dataclass(slots=True)
class _Stored:
    events: deque[Event]
    expires_at: float = 0
    # Oldest first.
    event_ids: OrderedDict[str, _Known] = field(default_factory=OrderedDict)


class InMemoryHistoryStore:
    """Stores the histories of at most `max_sessions` sessions in memory.

    If there are more, drops the session whose last event is oldest. Each change of a session is
    made without awaiting anything, so it is atomic on the event loop. An event is stored before it
    is logged. This order makes no difference after a crash, which loses all histories.
    """

    num_parts = 1

    def __init__(
        self,
        retention: Retention,
        max_sessions: int,
        clock: Callable[[], float] = time.monotonic,
        log: DiskLog | None = None,
        note_new: NoteNew = lambda _: None,
    ) -> None:
        """Makes an empty store.

        Args:
            retention: limits on the stored data of a session.
            max_sessions: maximum number of sessions.
            clock: returns the time in seconds; tests pass their own.
            log: the event log; None: events are not logged.
            note_new: called for each event that is logged, or left out of the log, for the first
                time.
        """
        self._retention = retention
        self._max_sessions = max_sessions
        self._clock = clock
        self._log = log
        self._note_new = note_new
        # Ordered by time of the last event, oldest first: sessions expire in the same order.
        self._sessions: OrderedDict[str, _Stored] = OrderedDict()
        self._user_sessions = UserSessions()

    async def append(self, session: Session, event: Event) -> Sequence[str]:
        """Implements `HistoryStore.append`."""
        now = self._clock()
        self._drop_expired(now)
        stored = self._sessions.get(session.ref)
        if stored is None:
            stored = _Stored(deque(maxlen=self._retention.max_length))
        if event.event_id is not None and not self._is_new(stored, event.event_id, now):
            return await self._answer_again(stored, event.event_id, event.log_text)
        if event.is_for_history:
            stored.events.append(event)
        if event.user_ref is not None:
            self._user_sessions.link(session.ref, event.user_ref)
        stored.expires_at = now + self._retention.ttl_seconds
        self._sessions[session.ref] = stored
        self._sessions.move_to_end(session.ref)
        if len(self._sessions) > self._max_sessions:
            self._drop(next(iter(self._sessions)))
        history = [each.item_id for each in stored.events]
        if self._log is not None and event.log_text is not None:
            self._note_new(event.log_text)
            known = stored.event_ids.get(event.event_id or "") or _Known(now)
            await self._write(self._log, event.log_text, known, history)
        return history

    async def _answer_again(
        self, stored: _Stored, event_id: str, log_text: str | None
    ) -> Sequence[str]:
        """Answers the repetition of a stored event: returns the history that ends with the event.

        Waits while the event is being written to the event log. If it was left out, writes
        `log_text` now.

        Raises:
            NotLoggedError: the event was left out of the log, and is left out again.
        """
        history = _history_until(stored.events, event_id)
        known = stored.event_ids[event_id]
        while known.settled is not None:  # several repetitions may wait, and one of them writes
            await known.settled.wait()
        if known.left_out is not None:
            if self._log is None or log_text is None:
                raise NotLoggedError(history, known.left_out, is_new=False)
            await self._write(self._log, log_text, known, history)
        return history

    async def _write(self, log: DiskLog, text: str, known: _Known, history: Sequence[str]) -> None:
        known.settled = asyncio.Event()
        is_new = known.left_out is None
        try:
            await log.append(text)
            known.left_out = None
        except DiskError as error:
            known.left_out = left_out_by(error)
            raise NotLoggedError(history, known.left_out, is_new=is_new) from error
        finally:
            known.settled.set()
            known.settled = None

    async def read(self, session: Session) -> Sequence[str]:
        """Implements `HistoryStore.read`."""
        self._drop_expired(self._clock())
        stored = self._sessions.get(session.ref)
        return [each.item_id for each in stored.events] if stored else []

    async def forget(self, session: Session, tombstones: Sequence[str] = ()) -> None:
        """Implements `HistoryStore.forget`."""
        await self._log_tombstones(tombstones)
        self._drop(session.ref)

    async def sessions_of(self, user_ref: str) -> Sequence[str]:
        """Implements `HistoryStore.sessions_of`."""
        return self._user_sessions.of(user_ref)

    async def forget_user(self, user_ref: str, tombstone: str | None) -> None:
        """Implements `HistoryStore.forget_user`."""
        await self._log_tombstones([] if tombstone is None else [tombstone])
        self._user_sessions.forget_user(user_ref)

    async def _log_tombstones(self, texts: Sequence[str]) -> None:
        if self._log is None:
            return
        try:
            for text in texts:
                await self._log.append(text, is_tombstone=True)
        except DiskError as error:
            raise HistoryRefusalError("the event log cannot be written") from error

    def part_of(self, ref: str) -> int:  # noqa: ARG002 - of the protocol
        """Implements `HistoryStore.part_of`."""
        return 0

    def parts_by_node(self) -> Sequence[Sequence[int]]:
        """Implements `HistoryStore.parts_by_node`."""
        return [[part] for part in range(self.num_parts)]

    async def ping_part(self, part: int) -> None:  # noqa: ARG002 - of the protocol
        """Implements `HistoryStore.ping_part`."""
        await self.ping()

    async def ping(self) -> None:
        """Implements `HistoryStore.ping`."""

    async def check_write(self) -> None:
        """Implements `HistoryStore.check_write`."""

    async def close(self) -> None:
        """Implements `HistoryStore.close`."""
        if self._log is not None:
            await self._log.close()

    def _is_new(self, stored: _Stored, event_id: str, now: float) -> bool:
        """Returns whether a session has no event with `event_id` in the last `event_id_seconds`.

        A new event id is remembered with the time `now`.
        """
        known = stored.event_ids.get(event_id)
        if known is not None and known.at > now - self._retention.event_id_seconds:
            return False
        stored.event_ids[event_id] = _Known(now)
        stored.event_ids.move_to_end(event_id)
        if len(stored.event_ids) > self._retention.max_event_ids:
            stored.event_ids.popitem(last=False)
        return True

    def _drop_expired(self, now: float) -> None:
        while self._sessions:
            oldest = next(iter(self._sessions))
            if self._sessions[oldest].expires_at > now:
                return
            self._drop(oldest)

    def _drop(self, ref: str) -> None:
        """Drops a session and its links with users; does nothing if it is unknown."""
        self._sessions.pop(ref, None)
        self._user_sessions.forget_session(ref)


def _history_until(events: Sequence[Event], event_id: str) -> Sequence[str]:
    """Returns the item ids up to and including the newest event with `event_id`.

    Returns all item ids if there is no such event any more, because it was trimmed.
    """
    history = [each.item_id for each in events]
    for length in range(len(history), 0, -1):
        if events[length - 1].event_id == event_id:
            return history[:length]
    return history
