"""Guards a history store: if the store fails, callers get degraded results instead of errors."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from service.circuit_breaker import CircuitBreaker
from service.errors import HistoryRefusalError, HistoryUnavailableError
from service.shared_calls import SharedCalls
from service.stores.event_log.protocol import CountLeftOut, NotLoggedError
from service.stores.history.journalled import JournalledEvents
from service.stores.history.protocol import Event, HistoryStore, NotStored, Session
from service.stores.waiting_requests import WaitingRequests, counted_already

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoredHistory:
    """The history of a session, as far as the store returned it.

    Attributes:
        history: item ids, oldest first. If the store did not answer, stored items are missing.
        degraded: whether the store did not answer, or refused to store the event.
        not_stored: the reason why the appended event is not stored; None if it is stored, or if
            this is the result of a read.
        is_logged: whether the appended event is in the event log; None if it has no text for the
            log, or if this is the result of a read.
    """

    history: Sequence[str]
    degraded: bool = False
    not_stored: NotStored | None = None
    is_logged: bool | None = None


_SECONDS_BETWEEN_PINGS = 0.25
"""Minimum time in seconds between two rounds of pings for `is_reachable`, which strangers ask."""

_FAILURES_TO_OPEN = 5  # failures in a row after which the circuit breaker opens


class GuardedHistory:
    """Calls a history store through a circuit breaker; a journal keeps events that are not stored.

    Routes use the store only through this class. Reads and writes can fail separately: a store that
    refuses writes is still read.

    Attributes:
        keeps_order: whether concurrent events of a session are stored in the order of the calls.
        writes_fail: whether the last attempt to write failed.
        last_write_at: Unix time in seconds of the last successful write; 0 if there was none.
    """

    def __init__(
        self,
        store: HistoryStore,
        pause_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        journal: JournalledEvents | None = None,
        count_left_out: CountLeftOut = lambda *_: None,
        wait_seconds: float | None = None,
        *,
        keeps_order: bool = False,
    ) -> None:
        """Wraps `store` with a closed circuit breaker.

        Args:
            store: the store of histories.
            pause_seconds: time between two probes of a store that failed.
            clock: returns the time in seconds; tests pass their own.
            journal: keeps events that could not be stored; None: they are lost.
            count_left_out: called with "event", the reason and 1 for each event that is left out of
                the event log; with 0 for a repetition of such an event.
            wait_seconds: maximum time of all calls to the store that one request needs; None: each
                call has only the store's own deadline.
            keeps_order: whether `store` stores concurrent events of a session in the order of the
                calls.
        """
        self.keeps_order = keeps_order
        self.writes_fail = False
        self.last_write_at = 0.0
        self._store = store
        self._journal = journal
        self._count_left_out = count_left_out
        self._pause_seconds = pause_seconds
        self._wait_seconds = wait_seconds
        self._waiting = WaitingRequests()
        self._reachability = SharedCalls(
            self._all_answer, lambda seconds: _SECONDS_BETWEEN_PINGS - seconds
        )
        parts = store.num_parts
        self._breaker = CircuitBreaker(
            "the history store" if parts == 1 else "a part of the history store",
            HistoryUnavailableError,
            answers=(HistoryRefusalError, NotLoggedError),
            max_failures=_FAILURES_TO_OPEN,
            pause_seconds=math.inf,  # no request pays for a probe: `follow` probes
            clock=clock,
            num_parts=parts,
        )

    @property
    def num_journalled(self) -> int:
        """As `JournalledEvents.num_waiting`; 0 without a journal."""
        return 0 if self._journal is None else self._journal.num_waiting

    @property
    def num_set_aside(self) -> int:
        """Number of events that this worker has set aside, because the store rejects them."""
        return 0 if self._journal is None else self._journal.num_set_aside

    @property
    def is_lost(self) -> bool:
        """Whether the circuit breaker is open for any part of the store.

        Requests for the sessions of this part are then answered without the store.
        """
        return self._breaker.is_open

    def waiting(self) -> int:
        """Returns the number of requests that wait for the store, each counted once."""
        return self._waiting.number + self._reachability.waiting

    @contextmanager
    def waits_once(self) -> Iterator[None]:
        """Context manager: counts a request with many calls at once as one that waits."""
        with self._waiting, counted_already():
            yield

    async def _call(self, operation: Callable[[], Awaitable[T]], ref: str) -> T:
        """Calls the part of the store that has a session ref or user ref; counts the request."""
        with self._waiting:
            return await self._breaker.call(operation, self._store.part_of(ref))

    async def append(self, session: Session, event: Event) -> StoredHistory:
        """Stores `event` and returns the history that ends with it.

        If the store does not answer, the returned history has this event only. If the store refuses
        to write, the returned history is the stored one and this event. In both cases the result is
        degraded and the event goes to the journal, if there is one.

        If the event is neither for the history nor for the event log, stores nothing and returns
        the stored history.
        """
        if not event.is_for_history and event.log_text is None:
            return replace(await self.read(session), not_stored="not_in_history")
        if self._journal is not None:
            event = self._journal.identified(event)
        is_logged = None if event.log_text is None else True
        began = time.monotonic()
        try:
            history = await self._call(lambda: self._store.append(session, event), session.ref)
        except NotLoggedError as error:
            history, is_logged = error.history, False
            self._count_left_out("event", error.reason, int(error.is_new))
        except HistoryRefusalError as error:
            self._count_failed_write(error)
            before = await self._read_until_deadline(session, began)
            return await self._not_stored(session, event, before, "store_refused")
        except HistoryUnavailableError as error:
            self._count_failed_write(error)
            return await self._not_stored(session, event, [], "store_unavailable")
        self._count_write()
        return StoredHistory(history, is_logged=is_logged)

    async def _not_stored(
        self, session: Session, event: Event, before: Sequence[str], reason: NotStored
    ) -> StoredHistory:
        """Writes an event to the journal, if there is one; returns the history, marked degraded.

        Args:
            session: the session of the event.
            event: the event, which the store did not store.
            before: the history before the event, as item ids; [] if it could not be read.
            reason: why the store did not store the event.
        """
        kept = reason if self._journal is None else await self._journal.keep(session, event)
        history = [*before, event.item_id] if event.is_for_history else before
        is_logged = None if event.log_text is None else False
        return StoredHistory(history, degraded=True, not_stored=kept, is_logged=is_logged)

    async def _read_until_deadline(self, session: Session, began: float) -> Sequence[str]:
        """Returns the history of a session, or [] if the deadline of the request passes first.

        `began`: time of the request's first call to the store, in seconds of `time.monotonic`.
        """
        wait = self._wait_seconds
        with suppress(TimeoutError):
            async with asyncio.timeout(wait and began + wait - time.monotonic()):
                return (await self.read(session)).history
        return []

    async def read(self, session: Session) -> StoredHistory:
        """Reads the history of a session; if the store fails, the result is empty and degraded."""
        try:
            return StoredHistory(await self._call(lambda: self._store.read(session), session.ref))
        except HistoryUnavailableError:
            return StoredHistory([], degraded=True)

    async def forget(self, session: Session, tombstones: Sequence[str] = ()) -> None:
        """Deletes the history of a session, and writes `tombstones` to the event log.

        `tombstones`: texts of entries, one for the session ref, then one for each former ref.

        Raises:
            HistoryUnavailableError: the store does not answer or refuses. The history may still be
                stored.
        """
        await self._call(lambda: self._store.forget(session, tombstones), session.ref)

    async def sessions_of(self, user_ref: str) -> Sequence[str]:
        """Returns the session refs of a user's sessions.

        Raises:
            HistoryUnavailableError: the store does not answer.
        """
        return await self._call(lambda: self._store.sessions_of(user_ref), user_ref)

    async def forget_user(self, user_ref: str, tombstone: str | None) -> None:
        """Deletes the list of a user's sessions, but not the sessions; logs `tombstone`.

        `tombstone`: text of an entry for the event log; None: no entry is written.

        Raises:
            HistoryUnavailableError: the store does not answer or refuses. The list may still be
                stored.
        """
        await self._call(lambda: self._store.forget_user(user_ref, tombstone), user_ref)

    async def is_reachable(self) -> bool:
        """Pings all nodes of the store, even those that are lost; returns whether all answer.

        Callers that ask within 0.25 s share the pings.
        """
        return await self._reachability.result()

    async def _all_answer(self) -> bool:
        return all(await asyncio.gather(*map(self._answers, self._store.parts_by_node())))

    async def _answers(self, parts: Sequence[int]) -> bool:
        """Pings the node of `parts`, by its first part; returns whether the node answers."""
        part, *others = parts
        ping = partial(self._store.ping_part, part)
        try:
            await self._breaker.call_even_if_open(ping, part, others)
        except HistoryUnavailableError:
            return False
        return True

    async def follow(self) -> None:
        """Calls `probe` once per `pause_seconds` until cancelled; runs in the background."""
        while True:
            await asyncio.sleep(self._pause_seconds)
            try:
                await self.probe()
            except Exception:  # without this task, nothing would end an outage
                logger.exception("the probe of the history store failed")

    async def follow_journal(self) -> None:
        """Takes over journals of ended workers once per `pause_seconds` until cancelled.

        So their events are counted during an outage too. This is a task of its own, since a disk
        that hangs must not hold up the probes.
        """
        while self._journal is not None:
            await self._journal.take_over()
            await asyncio.sleep(self._pause_seconds)

    async def probe(self) -> None:
        """Checks whether a store that failed works again; if the store works, replays the journal.

        If the circuit breaker is open, checks whether the store answers. If writes failed, checks
        whether the store accepts writes.
        """
        if self.is_lost and not await self._all_answer():
            return
        if self.writes_fail:
            try:
                await self._breaker.call_even_if_open(self._check_write)
            except HistoryUnavailableError as error:
                self._count_failed_write(error)
        if self._journal is not None and not self.is_lost and not self.writes_fail:
            await self._journal.replay()

    async def _check_write(self) -> None:
        await self._store.check_write()
        self._count_write()

    def _count_write(self) -> None:
        self.last_write_at = time.time()
        if self.writes_fail and not self.is_lost:  # else the next event may fail again
            self.writes_fail = False
            logger.warning("the history store can be written again")

    def _count_failed_write(self, error: HistoryUnavailableError) -> None:
        if not self.writes_fail:
            self.writes_fail = True
            logger.warning("an event could not be stored: %s", error.in_full)

    async def close(self) -> None:
        """Closes the files of the journal and the connections of the store."""
        if self._journal is not None:
            await self._journal.close()
        await self._store.close()
