"""Where the time of a request went, for the `Server-Timing` header."""

from time import perf_counter


class Stopwatch:
    """Starts when made; each lap is the time since the one before."""

    __slots__ = ("_laps", "_last", "_started")

    def __init__(self) -> None:
        self._started = self._last = perf_counter()
        self._laps: list[str] = []

    def lap(self, name: str) -> None:
        """Names the time since the last lap."""
        now = perf_counter()
        self._laps.append(f"{name};dur={(now - self._last) * 1000:.3f}")
        self._last = now

    def header(self) -> str:
        """The laps and their total, in milliseconds."""
        total = (perf_counter() - self._started) * 1000
        return ", ".join([*self._laps, f"total;dur={total:.3f}"])
