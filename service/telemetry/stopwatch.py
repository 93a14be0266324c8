"""The stopwatch of a request: measures its parts and collects its answers for the metrics."""

from time import perf_counter
from typing import Annotated

from fastapi import Depends, Request


class Stopwatch:
    """Measures the time since a request arrived, and the time of its named parts.

    Attributes:
        parts: name and seconds of each part that has ended.
        answers: variant, source and `degraded` of each recommendation list in the answer.
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
        """Returns a context that measures its block as `part`, unless the block raises."""
        return _Part(part, self.parts)

    def header(self) -> str:
        """Returns the value of `Server-Timing`: the parts and the total so far, in milliseconds."""
        entries = [*self.parts, ("total", self.seconds)]
        return ", ".join(f"{name};dur={seconds * 1000:.3f}" for name, seconds in entries)


# A class, because entering a generator with `contextmanager` may take longer than the part.
class _Part:
    """Context manager that times one part of a request.

    It appends name and seconds to `parts`, unless the block raises.
    """

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
