"""The stopwatch of a request: how long each part of it took, and which source answered."""

from time import perf_counter
from typing import Annotated

from fastapi import Depends, Request


class Stopwatch:
    """Measures a request from its arrival, and parts of it by name.

    Attributes:
        parts: name and seconds of each part that has ended.
        answers: variant, source and `degraded` of each list of recommendations.
    """

    __slots__ = ("_started", "answers", "parts")

    def __init__(self) -> None:
        self._started = perf_counter()
        self.parts: list[tuple[str, float]] = []
        self.answers: list[tuple[str, str, bool]] = []

    @property
    def seconds(self) -> float:
        """Seconds since the arrival of the request."""
        return perf_counter() - self._started

    def time(self, part: str) -> "_Part":
        """Times a `with` block as `part`, unless it raises."""
        return _Part(part, self.parts)

    def header(self) -> str:
        """Returns the value of `Server-Timing`: the parts and the total so far, in milliseconds."""
        entries = [*self.parts, ("total", self.seconds)]
        return ", ".join(f"{name};dur={seconds * 1000:.3f}" for name, seconds in entries)


# A class, because a generator with `contextmanager` would cost more than there is to measure.
class _Part:
    """The context in which a part is timed."""

    __slots__ = ("_name", "_parts", "_started")

    def __init__(self, name: str, parts: list[tuple[str, float]]) -> None:
        self._name = name
        self._parts = parts

    def __enter__(self) -> None:
        self._started = perf_counter()

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:
            self._parts.append((self._name, perf_counter() - self._started))


# A coroutine, because FastAPI would run an ordinary function in a thread.
async def get_stopwatch(request: Request) -> Stopwatch:
    """Returns the stopwatch that `RequestTiming` started; a dependency of routes."""
    stopwatch: Stopwatch = request.scope["stopwatch"]
    return stopwatch


StopwatchDep = Annotated[Stopwatch, Depends(get_stopwatch)]
