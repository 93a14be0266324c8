"""A cache in memory for the teacher's answers, with a maximum size and a time to live (TTL)."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class RecentAnswers(Generic[T]):
    """An LRU cache of at most `max_size` answers; an answer expires after `ttl_seconds`."""

    def __init__(
        self, max_size: int, ttl_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_size = max_size
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        self._entries: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()

    def find(self, key: Hashable) -> T | None:
        """Returns the answer stored for `key`; None if there is none or it has expired."""
        expires, answer = self._entries.get(key, (0.0, None))
        if answer is None:
            return None
        if expires <= self._clock():
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return answer

    def store(self, key: Hashable, answer: T) -> None:
        """Stores `answer` for `key`, in place of an older answer.

        If the cache is full, drops the least recently used answer.
        """
        self._entries[key] = (self._clock() + self._ttl_seconds, answer)
        self._entries.move_to_end(key)
        if len(self._entries) > self._max_size:
            self._entries.popitem(last=False)
