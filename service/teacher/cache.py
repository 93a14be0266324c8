"""Answers that are worth keeping: the newest used, each for a while."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class RecentAnswers(Generic[T]):
    """At most `max_size` answers, the least recently used go first; none outlives its TTL."""

    def __init__(
        self, max_size: int, ttl_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_size = max_size
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        self._entries: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()

    def find(self, key: Hashable) -> T | None:
        """The answer kept under `key`; None if there is none or it is too old."""
        expires, answer = self._entries.get(key, (0.0, None))
        if answer is None:
            return None
        if expires <= self._clock():
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return answer

    def keep(self, key: Hashable, answer: T) -> None:
        """Keeps `answer` under `key`."""
        self._entries[key] = (self._clock() + self._ttl_seconds, answer)
        self._entries.move_to_end(key)
        if len(self._entries) > self._max_size:
            self._entries.popitem(last=False)
