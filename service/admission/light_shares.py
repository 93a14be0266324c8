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

    A key that is slowed down after refusals sends less than it would, so its number says nothing.
    It has no share, and does not count for the mean of the others, until the period's end. If all
    keys of a period are slowed down, they share as equals.
    """

    def __init__(self, pace: RefusalPace) -> None:
        """Makes shares without requests so far; `pace` tells which keys are slowed down."""
        self._pace = pace
        self._counts: Counter[str] = Counter()
        self._counts_of_slowed: Counter[str] = Counter()  # were slowed down in this period
        self._ends_at = self._rests_until = 0.0

    def admits(self, key: str, now: float) -> bool:
        """Returns whether a request of `key` is admitted.

        It is while its key has sent at most its share plus `_SLACK` requests in this period, and is
        not slowed down. If only one key has sent requests in the period, all of them are admitted.
        `now`: seconds of the clock of `pace`.
        """
        counts = self._counts_with(key, now)
        if counts is self._counts_of_slowed and self._counts:
            return False
        return counts[key] <= counts.total() / max(1, len(counts)) + _SLACK

    def count(self, key: str, now: float) -> None:
        """Counts a request of `key`. `now`: as for `admits`."""
        self._counts_with(key, now)[key] += 1

    def _counts_with(self, key: str, now: float) -> Counter[str]:
        """Returns the counts of this period that `key` belongs to; begins a period if it is time.

        `now`: as for `admits`.
        """
        if now >= self._ends_at:
            self._counts.clear()
            self._counts_of_slowed.clear()
            self._ends_at = now + _WINDOW_SECONDS
        for slowed in self._counts.keys() & self._pace.slowed(now):
            self._counts_of_slowed[slowed] = self._counts.pop(slowed)
        is_slowed = key in self._counts_of_slowed or self._pace.slows(key, now)
        return self._counts_of_slowed if is_slowed else self._counts

    def is_matched(self, key: str) -> bool:
        """Returns whether the other keys send about as much as a key in this period, or more.

        This means a mean of at least 1 / `_GREEDY` of its requests. Keys that are slowed down count
        too.
        """
        counts, slowed = self._counts, self._counts_of_slowed
        sent = counts[key] + slowed[key]
        others, num_others = counts.total() + slowed.total() - sent, len(counts) + len(slowed) - 1
        return _GREEDY * others >= sent * num_others > 0

    def is_greedy(self, key: str, now: float) -> bool:
        """Returns whether a key has sent many more requests in this period than the others.

        This means more than `_GREEDY` times the mean of the other keys plus `_SLACK`. A key that
        exceeds its share only by chance is not greedy. A key that is slowed down is greedy until
        the period's end.
        """
        if self._pace.slows(key, now) or key in self._counts_of_slowed:
            return True
        count, num_others = self._counts[key], len(self._counts) - 1
        others = (self._counts.total() - count) / max(1, num_others)
        return num_others > 0 and count > _GREEDY * others + _SLACK
