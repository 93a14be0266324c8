"""Finds API keys that send more than an equal share of light requests to a busy worker."""

from collections import Counter

from service.admission.refusal_pace import RefusalPace

_WINDOW_SECONDS = 0.25
_GREEDY = 2
_SLACK = 4
"""Number of requests beyond its share that a key may send in a period.

Keys that send at equal rates differ by chance.
"""


class LightShares:
    """Counts light requests by key, in periods of `_WINDOW_SECONDS`.

    The share of each key is the mean number of requests per key in the current period.

    A key that is slowed down after refusals sends less than it would, so the mean says nothing.
    While there is such a key, it has no share, and the others have no bound.
    """

    def __init__(self, pace: RefusalPace) -> None:
        """Makes shares without requests so far; `pace` tells which keys are slowed down."""
        self._pace = pace
        self._counts: Counter[str] = Counter()
        self._ends_at = 0.0

    def admits(self, key: str, now: float) -> bool:
        """Counts a request of `key`; returns whether the request is admitted.

        A request is admitted while its key has sent at most its share plus `_SLACK` requests in
        this period. If only one key has sent requests in the period, all of them are admitted.
        `now`: seconds of the clock of `pace`.
        """
        if now >= self._ends_at:
            self._counts.clear()
            self._ends_at = now + _WINDOW_SECONDS
        self._counts[key] += 1
        if len(self._counts) == 1:
            return True
        if self._pace.slows_any(now):
            return not self._pace.slows(key, now)
        share = self._counts.total() / len(self._counts)
        return self._counts[key] <= share + _SLACK

    def is_greedy(self, key: str, now: float) -> bool:
        """Returns whether a key has sent many more requests in this period than the others.

        This means more than `_GREEDY` times the mean of the other keys plus `_SLACK`. A key that
        exceeds its share only by chance is not greedy. While a key is slowed down, it alone is.
        """
        if self._pace.slows_any(now):
            return self._pace.slows(key, now)
        count, num_others = self._counts[key], len(self._counts) - 1
        others = (self._counts.total() - count) / max(1, num_others)
        return num_others > 0 and count > _GREEDY * others + _SLACK
