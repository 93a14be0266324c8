"""Finds API keys that send more than an equal share of light requests to a busy worker."""

from collections import Counter

_WINDOW_SECONDS = 0.25
_GREEDY = 2
_SLACK = 4
"""Number of requests above its share that a key may send in a period.

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
        """Counts a request of `key`; returns whether it is admitted.

        It is admitted while the key has sent at most its share plus `_SLACK` requests in this
        period. A key is always admitted if no other key has sent a request in the period.
        `now`: seconds of a clock that never goes back.
        """
        if now >= self._ends_at:
            self._counts.clear()
            self._ends_at = now + _WINDOW_SECONDS
        self._counts[key] += 1
        share = self._counts.total() / len(self._counts)
        return len(self._counts) == 1 or self._counts[key] <= share + _SLACK

    def is_greedy(self, key: str) -> bool:
        """Returns whether a key has sent many more requests than the others.

        That is over `_GREEDY` times the mean of the other keys, and `_SLACK` more.

        Keys that send alike are not greedy, though chance takes one of them over its share.
        """
        count, num_others = self._counts[key], len(self._counts) - 1
        others = (self._counts.total() - count) / max(1, num_others)
        return num_others > 0 and count > _GREEDY * others + _SLACK
