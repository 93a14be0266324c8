"""Sums up the counts of a window, of which it keeps those periods that hardly change any more."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from time import time
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.stores.counts.protocol import CountKey, CountStore, CountsUnavailableError
from service.stores.counts.windows import Period, Window
from service.stores.waiting_requests import WaitingRequests

logger = logging.getLogger(__name__)

_FRESH_SECONDS = 1.0  # for which a running period is kept
_KEPT_SECONDS = 60.0  # for which an old period is kept at most: events can be late
_SETTLED_SECONDS = 5.0  # after the end of a period, when all workers have stored its counts
_WAIT_SECONDS = 2.0  # of a request, for the store; a window that takes longer is late
_KNOWN_WAIT_SECONDS = 0.05  # of a request for a window whose counts of before are known
_PAUSE_SECONDS = 1.0  # before a request lets a store that failed be read again
_REST, _MAX_REST_SECONDS = 10, 10.0  # times that a reading took, for which its window is kept
_IDS_A_TURN = 2_000  # of the event loop
_MAX_PERIODS = 2_000
_MAX_WINDOWS = 64
_MAX_IDS = 1_000_000

K = TypeVar("K")
V = TypeVar("V")
Numbers = NDArray[np.int64]
_NO_IDS = np.zeros(0, dtype=np.object_)


@dataclass(frozen=True)
class WindowCounts:
    """The events of a window and of the window before, by item.

    Attributes:
        begin: Unix time in seconds at which the window begins.
        item_ids: ids of the items that have counted events in one of the two windows.
        now: `[items]`, events in the window.
        before: `[items]`, events in the window before.
        all_now: number of all events in the window, also of items that are not counted any more.
        all_before: number of all events in the window before.
        read_at: Unix time in seconds at which the counts were read.
        seconds: time that reading them took.
    """

    begin: int
    item_ids: Sequence[str]
    now: Numbers
    before: Numbers
    all_now: int
    all_before: int
    read_at: float
    seconds: float


class WindowQuery(NamedTuple):
    """Names the events that are summed up: those of a tenant, of some types, in a window."""

    tenant: str
    event_types: tuple[str, ...]
    window: Window


class _Kept(NamedTuple):
    """The counts of a period.

    Attributes:
        read_at: Unix time in seconds at which they were read.
        items: numbers of items, as `WindowReader._number_of` has them.
        events: events of each of these items.
        total: events of all items.
    """

    read_at: float
    items: Numbers
    events: Numbers
    total: int


class WindowReader:
    """Reads windows from a store of counts. Requests for the same window share a reading.

    Attributes:
        waiting: counts the requests that wait for a reading.
    """

    def __init__(self, store: CountStore, clock: Callable[[], float] = time) -> None:
        """Makes a reader that has read nothing.

        Args:
            store: the store of the counts.
            clock: returns the Unix time in seconds; tests pass their own.
        """
        self.waiting = WaitingRequests()
        self._store = store
        self._clock = clock
        self._periods: OrderedDict[CountKey, _Kept] = OrderedDict()  # the newest reading last
        self._windows: OrderedDict[WindowQuery, WindowCounts] = OrderedDict()
        self._reading: dict[WindowQuery, asyncio.Task[WindowCounts]] = {}
        self._failing: WindowQuery | None = None
        self._failed_at = 0.0
        self._late: set[WindowQuery] = set()  # being read for longer than requests wait
        self._number_of: dict[str, int] = {}  # of each item id that was read, in their order
        self._ids = _NO_IDS  # by number, but for the newest

    @property
    def is_failing(self) -> bool:
        """Whether the newest reading failed, or a window is late."""
        return self._failing is not None or bool(self._late)

    @property
    def is_reading(self) -> bool:
        """Whether a window is being read."""
        return bool(self._reading)

    async def read(self, query: WindowQuery) -> tuple[WindowCounts, bool]:
        """Returns the counts of a window, and whether they are stale.

        Counts are at most `_FRESH_SECONDS` old, or `_REST` times as old as reading them took, so
        that many large windows do not keep the worker and the store busy. If the store fails, or
        does not answer in time, the counts that were read last are returned as stale, or empty
        ones. In time means within `_KNOWN_WAIT_SECONDS` if there are such counts, else
        `_WAIT_SECONDS`. Until the store answers again, nobody waits for it, nor for a late window.
        """
        known = self._windows.get(query)
        if known is not None and self._is_fresh(known):
            return known, False
        is_pause = self._failing is not None and self._clock() - self._failed_at < _PAUSE_SECONDS
        if query not in self._reading and not is_pause:
            self._begin(query)
        try:
            if self._failing is None and query not in self._late:
                # Shielded, because other requests share it.
                reading = asyncio.shield(self._reading[query])
                seconds = _WAIT_SECONDS if known is None else _KNOWN_WAIT_SECONDS
                with self.waiting:
                    return await asyncio.wait_for(reading, seconds), False
        except CountsUnavailableError as error:
            self._fail(query, str(error))
        except TimeoutError:
            pass  # `_note_late` notes a late window
        return known or self._nothing(query), True

    def _is_fresh(self, counts: WindowCounts) -> bool:
        return self._clock() - counts.read_at < max(
            _FRESH_SECONDS, min(_REST * counts.seconds, _MAX_REST_SECONDS)
        )

    def retry(self) -> None:
        """Begins to read the window again that could not be read; for a call each second."""
        if self._failing is not None and not self.is_reading:
            self._begin(self._failing)

    def _fail(self, query: WindowQuery, reason: str) -> None:
        if self._failing is None:
            logger.warning("the counts of events cannot be read: %s", reason)
        self._failing, self._failed_at = query, self._clock()

    def _note_late(self, query: WindowQuery) -> None:
        if not self.is_failing:
            logger.warning("the counts of events cannot be read: no answer in time")
        self._late.add(query)

    async def close(self) -> None:
        """Ends the readings in progress."""
        for each in [*self._reading.values()]:
            each.cancel()
            await asyncio.wait([each])

    def _begin(self, query: WindowQuery) -> None:
        timer = asyncio.get_running_loop().call_later(_WAIT_SECONDS, self._note_late, query)
        self._reading[query] = asyncio.create_task(self._read(query))
        self._reading[query].add_done_callback(partial(self._end, query, timer))

    def _end(
        self,
        query: WindowQuery,
        timer: asyncio.TimerHandle,
        task: "asyncio.Task[WindowCounts]",
    ) -> None:
        del self._reading[query]
        timer.cancel()
        if task.cancelled():
            return
        was_failing = self.is_failing
        self._late.discard(query)
        if error := task.exception():  # every request may have stopped waiting for it
            self._fail(query, str(error))
            return
        self._failing = None
        if was_failing and not self.is_failing:
            logger.warning("the counts of events are read again")

    def _nothing(self, query: WindowQuery) -> WindowCounts:
        now = self._clock()
        none = np.zeros(0, dtype=np.int64)
        return WindowCounts(query.window.periods(now)[-1].begin, (), none, none, 0, 0, now, 0.0)

    async def _read(self, query: WindowQuery) -> WindowCounts:
        now = self._clock()
        if len(self._number_of) > _MAX_IDS and len(self._reading) == 1:  # no other has numbers
            self._periods.clear()
            self._number_of, self._ids = {}, _NO_IDS
        in_window, in_other = query.window.periods(now), query.window.periods_before(now)
        keys = {
            each: [CountKey(query.tenant, name, each) for name in query.event_types]
            for each in (*in_window, *in_other)
        }
        # One after the other, since Redis would run many commands before those of other clients.
        kept = {key: await self._period(key) for of_period in keys.values() for key in of_period}
        if len(self._ids) < len(self._number_of):
            self._ids = np.array([*self._number_of], dtype=np.object_)
        size = len(self._ids)

        async def summed(periods: Sequence[Period]) -> tuple[Numbers, int]:
            await asyncio.sleep(0)
            return _sum([kept[key] for each in periods for key in keys[each]], size)

        (events, all_now), (others, all_before) = await summed(in_window), await summed(in_other)
        await asyncio.sleep(0)
        found = np.flatnonzero(events + others)
        counts = WindowCounts(
            in_window[-1].begin,
            self._ids[found].tolist(),
            events[found],
            others[found],
            all_now,
            all_before,
            now,
            self._clock() - now,
        )
        _keep(self._windows, query, counts, _MAX_WINDOWS)
        return counts

    async def _period(self, key: CountKey) -> _Kept:
        """Returns the counts of a key; reads them if those that are kept are too old."""
        now, kept = self._clock(), self._periods.get(key)
        if kept is not None and now - kept.read_at < _seconds_to_keep(key.period, kept):
            return kept
        counts = await self._store.read(key)
        items = await self._numbers_of(counts.by_item)
        events = np.array(list(counts.by_item.values()), dtype=np.int64)
        kept = _Kept(now, np.array(items, dtype=np.int64), events, counts.total)
        _keep(self._periods, key, kept, _MAX_PERIODS)
        return kept

    async def _numbers_of(self, item_ids: Iterable[str]) -> Sequence[int]:
        """Returns the number of each item id; new ids get the next numbers."""
        number_of, numbers = self._number_of, list[int]()
        for place, item_id in enumerate(item_ids, start=1):
            numbers.append(number_of.setdefault(item_id, len(number_of)))
            if place % _IDS_A_TURN == 0:
                await asyncio.sleep(0)
        return numbers


def _seconds_to_keep(each: Period, kept: _Kept) -> float:
    if kept.read_at < each.end + _SETTLED_SECONDS:
        return _FRESH_SECONDS
    # Not the same for all, so that they are not read again all at once.
    return _KEPT_SECONDS * (8 + each.number % 8) / 16


def _sum(periods: Sequence[_Kept], size: int) -> tuple[Numbers, int]:
    """Returns the events of each item, `[size]` by its number, and of all, in all `periods`."""
    events = np.zeros(size, dtype=np.int64)
    for each in periods:
        events[each.items] += each.events  # an item is only once in a period
    return events, sum(each.total for each in periods)


def _keep(values: OrderedDict[K, V], key: K, value: V, max_values: int) -> None:
    """Adds a value as the newest one, and drops the oldest beyond `max_values`."""
    values[key] = value
    values.move_to_end(key)
    if len(values) > max_values:
        values.popitem(last=False)
