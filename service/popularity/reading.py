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

logger = logging.getLogger(__name__)

_FRESH_SECONDS = 1.0  # for which a running period is kept
_KEPT_SECONDS = 60.0  # for which an old period is kept at most: events can be late
_SETTLED_SECONDS = 5.0  # after the end of a period, when all workers have stored its counts
_WAIT_SECONDS = 2.0  # of a request, for the store
_PAUSE_SECONDS = 1.0  # before a request lets a store that failed be read again
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
        item_ids: ids of the items that have events in one of the two windows.
        now: `[items]`, events in the window.
        before: `[items]`, events in the window before.
        read_at: Unix time in seconds at which the counts were read.
    """

    begin: int
    item_ids: Sequence[str]
    now: Numbers
    before: Numbers
    read_at: float

    @property
    def all_now(self) -> int:
        """Number of all events in the window."""
        return int(self.now.sum())

    @property
    def all_before(self) -> int:
        """Number of all events in the window before."""
        return int(self.before.sum())


class WindowQuery(NamedTuple):
    """Names the events that are summed up: those of a tenant, of some types, in a window."""

    tenant: str
    event_types: tuple[str, ...]
    window: Window


class _Kept(NamedTuple):
    """The counts of a period: numbers of items, as `WindowReader._number_of` has them; events."""

    read_at: float
    items: Numbers
    events: Numbers


class WindowReader:
    """Reads windows from a store of counts. Requests for the same window share a reading."""

    def __init__(self, store: CountStore, clock: Callable[[], float] = time) -> None:
        """Makes a reader that has read nothing.

        Args:
            store: the store of the counts.
            clock: returns the Unix time in seconds; tests pass their own.
        """
        self._store = store
        self._clock = clock
        self._periods: OrderedDict[CountKey, _Kept] = OrderedDict()  # the newest reading last
        self._windows: OrderedDict[WindowQuery, WindowCounts] = OrderedDict()
        self._reading: dict[WindowQuery, asyncio.Task[WindowCounts]] = {}
        self._failing: WindowQuery | None = None
        self._failed_at = 0.0
        self._number_of: dict[str, int] = {}  # of each item id that was read, in their order
        self._ids = _NO_IDS  # by number, but for the newest

    @property
    def is_failing(self) -> bool:
        """Whether the newest reading failed or was late."""
        return self._failing is not None

    @property
    def is_reading(self) -> bool:
        """Whether a window is being read."""
        return bool(self._reading)

    async def read(self, query: WindowQuery) -> tuple[WindowCounts, bool]:
        """Returns the counts of a window, and whether they are stale.

        Counts are at most `_FRESH_SECONDS` old. If the store fails or is late, the counts that were
        read last are returned as stale, or empty ones. Until it answers again, nobody waits for it.
        """
        known = self._windows.get(query)
        if known is not None and self._clock() - known.read_at < _FRESH_SECONDS:
            return known, False
        # A late answer ends a failure, and so its pause.
        is_pause = self.is_failing and self._clock() - self._failed_at < _PAUSE_SECONDS
        if query not in self._reading and not is_pause:
            self._begin(query)
        try:
            if not self.is_failing:
                # Shielded, because other requests share it.
                reading = asyncio.shield(self._reading[query])
                return await asyncio.wait_for(reading, _WAIT_SECONDS), False
        except (CountsUnavailableError, TimeoutError) as error:
            self._fail(query, error)
        return known or self._nothing(query), True

    def retry(self) -> None:
        """Begins to read the window again that could not be read; for a call each second."""
        if self._failing is not None and not self.is_reading:
            self._begin(self._failing)

    def _fail(self, query: WindowQuery, error: BaseException) -> None:
        if not self.is_failing:
            reason = str(error) or "no answer in time"
            logger.warning("the counts of events cannot be read: %s", reason)
        self._failing, self._failed_at = query, self._clock()

    async def close(self) -> None:
        """Ends the readings in progress."""
        for each in [*self._reading.values()]:
            each.cancel()
            await asyncio.wait([each])

    def _begin(self, query: WindowQuery) -> None:
        self._reading[query] = asyncio.create_task(self._read(query))
        self._reading[query].add_done_callback(partial(self._end, query))

    def _end(self, query: WindowQuery, task: "asyncio.Task[WindowCounts]") -> None:
        del self._reading[query]
        if task.cancelled():
            return
        if error := task.exception():  # every request may have stopped waiting for it
            self._fail(query, error)
        elif self.is_failing:
            logger.warning("the counts of events are read again")
            self._failing = None

    def _nothing(self, query: WindowQuery) -> WindowCounts:
        now = self._clock()
        none = np.zeros(0, dtype=np.int64)
        return WindowCounts(query.window.periods(now)[-1].begin, (), none, none, now)

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

        async def summed(periods: Sequence[Period]) -> Numbers:
            await asyncio.sleep(0)
            return _sum([kept[key] for each in periods for key in keys[each]], size)

        events, others = await summed(in_window), await summed(in_other)
        await asyncio.sleep(0)
        found = np.flatnonzero(events + others)
        ids = self._ids[found].tolist()
        counts = WindowCounts(in_window[-1].begin, ids, events[found], others[found], now)
        _keep(self._windows, query, counts, _MAX_WINDOWS)
        return counts

    async def _period(self, key: CountKey) -> _Kept:
        """Returns the counts of a key; reads them if those that are kept are too old."""
        now, kept = self._clock(), self._periods.get(key)
        if kept is not None and now - kept.read_at < _seconds_to_keep(key.period, kept):
            return kept
        counts = await self._store.read(key)
        items = await self._numbers_of(counts)
        events = np.array(list(counts.values()), dtype=np.int64)
        kept = _Kept(now, np.array(items, dtype=np.int64), events)
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


def _sum(periods: Sequence[_Kept], size: int) -> Numbers:
    """Returns `[size]`: the events of each item, by its number, in all `periods`."""
    total = np.zeros(size, dtype=np.int64)
    for each in periods:
        total[each.items] += each.events  # an item is only once in a period
    return total


def _keep(values: OrderedDict[K, V], key: K, value: V, max_values: int) -> None:
    """Adds a value as the newest one, and drops the oldest beyond `max_values`."""
    values[key] = value
    values.move_to_end(key)
    if len(values) > max_values:
        values.popitem(last=False)
