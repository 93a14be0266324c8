"""Windows of time and the periods that they are made of.

Events are counted in periods of ten minutes, an hour and a day, in UTC. A window of N periods is
the running period and the N before it. The window before it is the N periods before these.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

WindowName = Literal["1h", "6h", "24h", "7d", "30d"]

_TEN_MINUTES, _HOUR, _DAY = 600, 3_600, 86_400


class Period(NamedTuple):
    """A period of time.

    Attributes:
        seconds: its length.
        number: number of periods of this length from the beginning of 1970 to its begin.
    """

    seconds: int
    number: int

    @property
    def begin(self) -> int:
        """Unix time in seconds at which the period begins."""
        return self.number * self.seconds

    @property
    def end(self) -> int:
        """Unix time in seconds at which the period ends."""
        return self.begin + self.seconds

    @property
    def expires_at(self) -> int:
        """Unix time in seconds from which no window needs the period."""
        return self.begin + KEPT_PERIODS[self.seconds] * self.seconds


class Window(NamedTuple):
    """A window: the running period and `num_periods` periods before it."""

    period_seconds: int
    num_periods: int

    def periods(self, now: float) -> Sequence[Period]:
        """Returns the periods of the window that ends at the Unix time `now`, newest first."""
        return self._before(now, 0, self.num_periods + 1)

    def periods_before(self, now: float) -> Sequence[Period]:
        """Returns the periods of the window before the one that ends at `now`, newest first."""
        return self._before(now, self.num_periods + 1, 2 * self.num_periods + 1)

    def _before(self, now: float, first: int, past: int) -> Sequence[Period]:
        running = int(now) // self.period_seconds
        return [Period(self.period_seconds, running - age) for age in range(first, past)]


WINDOWS: Mapping[WindowName, Window] = {
    "1h": Window(_TEN_MINUTES, 6),
    "6h": Window(_HOUR, 6),
    "24h": Window(_HOUR, 24),
    "7d": Window(_DAY, 7),
    "30d": Window(_DAY, 30),
}

KEPT_PERIODS: Mapping[int, int] = {
    seconds: max(
        2 * each.num_periods + 1 for each in WINDOWS.values() if each.period_seconds == seconds
    )
    for seconds in (_TEN_MINUTES, _HOUR, _DAY)
}
"""Number of periods that the windows and those before them need, by the periods' length."""

SHORTEST_SECONDS = _TEN_MINUTES
"""Length of the shortest periods, which the longer ones are made of."""


def periods_at(at: float, now: float) -> Iterator[Period]:
    """Yields the periods with the Unix time `at` that a window can still need at the time `now`."""
    for seconds in KEPT_PERIODS:
        each = Period(seconds, int(at) // seconds)
        if each.expires_at > now:
            yield each
