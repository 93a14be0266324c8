"""Finds API keys that send more than an equal share of light requests to a busy worker."""

from collections import Counter

_WINDOW_SECONDS = 0.25
_GREEDY = 2
_SLACK = 4
"""Number of requests beyond its share that a key may send in a period.

Keys that send at equal rates differ by chance.
"""


class LightShares:
    """Counts light requests by key, in periods of `_WINDOW_SECONDS`.

    The share of each key is the mean number of requests per key in the current period.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._ends_at = 0.0

    def admits(self, key: str, now: float) -> bool:
        """Counts a request of `key`; returns whether the request is admitted.

        A request is admitted while its key has sent at most its share plus `_SLACK` requests in
        this period. If only one key has sent requests in the period, all of them are admitted.
        `now`: seconds of a clock that never goes back.
        """
        if now >= self._ends_at:
            self._counts.clear()
            self._ends_at = now + _WINDOW_SECONDS
        self._counts[key] += 1
        share = self._counts.total() / len(self._counts)
        return len(self._counts) == 1 or self._counts[key] <= share + _SLACK

    def is_greedy(self, key: str) -> bool:
        """Returns whether a key has sent many more requests in this period than the others.

        This means more than `_GREEDY` times the mean of the other keys plus `_SLACK`. A key that
        exceeds its share only by chance is not greedy.
        """
        count, num_others = self._counts[key], len(self._counts) - 1
        others = (self._counts.total() - count) / max(1, num_others)
        return num_others > 0 and count > _GREEDY * others + _SLACK
