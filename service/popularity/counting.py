"""Counts events after they are stored, in the background, so that no request waits for it."""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import starmap
from time import time

import orjson

from export.contract.log.events import Event
from service.stores.counts.protocol import CountKey, CountStore, CountsUnavailableError
from service.stores.counts.windows import SHORTEST_SECONDS, periods_at

logger = logging.getLogger(__name__)

_SECONDS_TO_COUNT = 1.0
_MAX_WAITING = 100_000  # events in memory
_EVENTS_A_TURN = 200  # of the event loop
_SHORTEST_MS = 1000 * SHORTEST_SECONDS

# Places in the line of an event, which begins with the letter of its kind.
_TENANT, _TYPE, _ITEM_ID, _TIMESTAMP = (
    1 + Event._fields.index(name) for name in ("tenant", "event_type", "item_id", "timestamp")
)

_Counts = Mapping[CountKey, Counter[str]]


class EventCounts:
    """Counts new events by tenant, type, period of time and item.

    An event belongs to the periods with its `timestamp`. Numbers that cannot be stored are dropped:
    adding them again could count an event twice. A killed process loses those of the last second.

    Failing counts are tried every second, so that it is known when events are counted again.
    """

    def __init__(
        self, store: CountStore, is_known: Callable[[str], bool], clock: Callable[[], float] = time
    ) -> None:
        """Starts with nothing counted.

        Args:
            store: the store of the counts.
            is_known: returns whether a catalog has an item id; events of other items do not count,
                since clients can make up ids.
            clock: returns the Unix time in seconds; tests pass their own.
        """
        self._store = store
        self._is_known = is_known
        self._clock = clock
        self._waiting: list[str] = []
        self._flushing = asyncio.Lock()
        self._failing: CountKey | None = None

    @property
    def is_failing(self) -> bool:
        """Whether the newest numbers could not be stored."""
        return self._failing is not None

    def note(self, log_text: str) -> None:
        """Remembers a new event, which is counted within a second; takes far below a microsecond.

        `log_text`: text of the event's entry in the event log.
        """
        if len(self._waiting) < _MAX_WAITING:
            self._waiting.append(log_text)

    async def follow(self) -> None:
        """Counts the new events every second until cancelled."""
        while True:
            await asyncio.sleep(_SECONDS_TO_COUNT)
            # Shielded, so that the end of the service loses no numbers that are being stored.
            await asyncio.shield(self.flush())

    async def flush(self) -> None:
        """Counts the events that wait, and adds their numbers to the store."""
        async with self._flushing:
            waiting, self._waiting = self._waiting, []
            await self._add(await self._counted(waiting))

    async def _counted(self, texts: Sequence[str]) -> _Counts:
        shortest: dict[tuple[str, str, int], Counter[str]] = defaultdict(Counter)
        for number, text in enumerate(texts, start=1):
            row = orjson.loads(text)
            shortest[row[_TENANT], row[_TYPE], row[_TIMESTAMP] // _SHORTEST_MS][row[_ITEM_ID]] += 1
            if number % _EVENTS_A_TURN == 0:
                await asyncio.sleep(0)
        counts: dict[CountKey, Counter[str]] = defaultdict(Counter)
        now = self._clock()
        for (tenant, event_type, period), items in shortest.items():
            known = {
                item_id: number for item_id, number in items.items() if self._is_known(item_id)
            }
            for each in periods_at(period * SHORTEST_SECONDS, now) if known else ():
                counts[CountKey(tenant, event_type, each)].update(known)
        return counts

    async def _add(self, counts: _Counts) -> None:
        """Adds numbers to the store; tries a key that failed before, even if it has none.

        One after the other, so that Redis serves others between; after a failure all at once, since
        each may wait for a store that does not answer.
        """
        tried = counts if self._failing is None else {self._failing: Counter[str](), **counts}
        was_failing, left = self.is_failing, list(tried.items())
        is_added = True
        while left and is_added:
            is_added = await self._is_added(*left.pop(0))
        others = await asyncio.gather(*starmap(self._is_added, left))
        if is_added and all(others):
            if was_failing:
                logger.warning("events are counted again")
            self._failing = None

    async def _is_added(self, key: CountKey, counts: Mapping[str, int]) -> bool:
        """Adds numbers of a key to the store; returns whether that worked, and tells if not."""
        try:
            await self._store.add(key, counts)
        except CountsUnavailableError as error:
            if not self.is_failing:
                logger.warning("events cannot be counted: %s", error)
            self._failing = key
            return False
        return True
