"""Finds API keys that send more than an equal share of light requests to a busy worker."""

from collections import Counter

from service.admission.refusal_pace import RefusalPace

_WINDOW_SECONDS = 0.25
_GREEDY = 2
_SLACK = 4
"""Number of requests beyond its share that a key may send in a period.

Keys that send at equal rates differ by chance.
"""

_REST_SECONDS = 0.002
"""Minimum time between two light requests of keys that are slowed down.

It is about twice the time of a request, so that others find the event loop mostly free.
"""


class LightShares:
    """Counts light requests by key, in periods of `_WINDOW_SECONDS`.

    The share of each key is the mean number of requests per key in the current period.

    A key that is slowed down after refusals sends less than it would, so its number says nothing.
    It has no share, and does not count for the mean of the others.
    """

    def __init__(self, pace: RefusalPace) -> None:
        """Makes shares without requests so far; `pace` tells which keys are slowed down."""
        self._pace = pace
        self._senders: set[str] = set()
        self._counts: Counter[str] = Counter()  # of the senders that are not slowed down
        self._ends_at = self._rests_until = 0.0

    def admits(self, key: str, now: float) -> bool:
        """Counts a request of `key`; returns whether the request is admitted.

        A request is admitted while its key has sent at most its share plus `_SLACK` requests in
        this period, and is not slowed down. If only one key has sent requests in the period, all of
        them are admitted. `now`: seconds of the clock of `pace`.
        """
        if now >= self._ends_at:
            self._senders.clear()
            self._counts.clear()
            self._ends_at = now + _WINDOW_SECONDS
        self._senders.add(key)
        self._counts[key] += 1
        for slowed in self._pace.slowed(now):
            self._counts.pop(slowed, None)
        if len(self._senders) == 1:
            return True
        if key not in self._counts:
            return False
        share = self._counts.total() / len(self._counts)
        return self._counts[key] <= share + _SLACK

    def must_rest(self, key: str, working: int, now: float) -> bool:
        """Returns whether a request is refused because its key is slowed down; counts it if not.

        Such keys have one request in progress at a time, and rest between two, while another key
        sends requests. Else they would use all of their share of the bound, which is free since
        their refusals are paused, and each request of the others would wait for that work.

        `working`: number of light requests in progress.
        """
        if not self._pace.slows_among_others(key, now):
            return False
        if working or now < self._rests_until:
            return True
        self._rests_until = now + _REST_SECONDS
        return False

    def is_greedy(self, key: str, now: float) -> bool:
        """Returns whether a key has sent many more requests in this period than the others.

        This means more than `_GREEDY` times the mean of the other keys plus `_SLACK`. A key that
        exceeds its share only by chance is not greedy. A key that is slowed down is greedy.
        """
        if self._pace.slows(key, now):
            return True
        count, num_others = self._counts[key], len(self._counts) - 1
        others = (self._counts.total() - count) / max(1, num_others)
        return num_others > 0 and count > _GREEDY * others + _SLACK
