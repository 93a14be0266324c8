"""Numbers of events in the memory of the process, for a service with one worker."""

import time
from collections.abc import Callable, Mapping
from heapq import heappop, heappush, heapreplace

from service.stores.counts.protocol import CountKey, Counts


class MemoryCountStore:
    """Keeps the counts of each key in a sketch, until its period expires."""

    def __init__(self, max_items: int, clock: Callable[[], float] = time.time) -> None:
        """Makes an empty store.

        Args:
            max_items: maximum number of items for each key.
            clock: returns the Unix time in seconds; tests pass their own.
        """
        self._max_items = max_items
        self._clock = clock
        self._sketches: dict[CountKey, _Sketch] = {}

    async def add(self, key: CountKey, counts: Mapping[str, int]) -> None:
        """Implements `CountStore.add`."""
        if key not in self._sketches:
            self._drop_expired()
        self._sketches.setdefault(key, _Sketch()).add(counts, self._max_items)

    async def read(self, key: CountKey) -> Counts:
        """Implements `CountStore.read`."""
        sketch = self._sketches.get(key)
        return Counts(0, {}) if sketch is None else sketch.counted()

    async def close(self) -> None:
        """Implements `CountStore.close`."""

    def _drop_expired(self) -> None:
        now = self._clock()
        for key in [each for each in self._sketches if each.period.expires_at <= now]:
            del self._sketches[key]


class _Sketch:
    """The scores of a key's items and their scores at entry, as `CountStore` defines them."""

    def __init__(self) -> None:
        self._total = self._floor = 0
        self._scores: dict[str, int] = {}
        self._at_entry: dict[str, int] = {}  # of items that entered above 0
        # Each item once: its present score or a lower one of before, that at entry, its id.
        self._lowest: list[tuple[int, int, str]] = []

    def add(self, counts: Mapping[str, int], max_items: int) -> None:
        """Adds numbers of events; then cuts the items with the lowest scores beyond `max_items`."""
        self._total += sum(counts.values())
        for item_id, number in counts.items():
            if item_id in self._scores:
                self._scores[item_id] += number
            else:
                self._enter(item_id, number)
        floor = self._floor
        while len(self._scores) > max_items:
            floor = self._cut_lowest()
        self._floor = floor

    def counted(self) -> Counts:
        """Returns the number of all events, and those of each item that were certainly counted."""
        entry = self._at_entry
        by_item = {
            item_id: score - entry.get(item_id, 0) for item_id, score in self._scores.items()
        }
        return Counts(self._total, by_item)

    def _enter(self, item_id: str, number: int) -> None:
        self._scores[item_id] = self._floor + number
        if self._floor:
            self._at_entry[item_id] = self._floor
        heappush(self._lowest, (self._scores[item_id], self._floor, item_id))

    def _cut_lowest(self) -> int:
        """Removes the item that `CountStore` says; returns its score."""
        score, at_entry, item_id = self._lowest[0]
        while score != self._scores[item_id]:
            heapreplace(self._lowest, (self._scores[item_id], at_entry, item_id))
            score, at_entry, item_id = self._lowest[0]
        heappop(self._lowest)
        del self._scores[item_id]
        self._at_entry.pop(item_id, None)
        return score
