"""Numbers of events in the memory of the process, for a service with one worker."""

import time
from collections import Counter
from collections.abc import Callable, Mapping

from service.stores.counts.protocol import CountKey


class MemoryCountStore:
    """Keeps the counts of each key in a Counter, until its period expires."""

    def __init__(self, max_items: int, clock: Callable[[], float] = time.time) -> None:
        """Makes an empty store.

        Args:
            max_items: maximum number of items for each key.
            clock: returns the Unix time in seconds; tests pass their own.
        """
        self._max_items = max_items
        self._clock = clock
        self._counts: dict[CountKey, Counter[str]] = {}

    async def add(self, key: CountKey, counts: Mapping[str, int]) -> None:
        """Implements `CountStore.add`."""
        if key not in self._counts:
            self._drop_expired()
        found = self._counts.setdefault(key, Counter())
        found.update(counts)
        if len(found) > self._max_items:
            self._counts[key] = Counter(dict(found.most_common(self._max_items // 2)))

    async def read(self, key: CountKey) -> Mapping[str, int]:
        """Implements `CountStore.read`."""
        return dict(self._counts.get(key, {}))

    async def close(self) -> None:
        """Implements `CountStore.close`."""

    def _drop_expired(self) -> None:
        now = self._clock()
        for key in [each for each in self._counts if each.period.expires_at <= now]:
            del self._counts[key]
