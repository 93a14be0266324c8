"""The stopwatch of a request: times its parts and records its answers, for the metrics."""

from time import perf_counter
from typing import Annotated

from fastapi import Depends, Request


class Stopwatch:
    """Measures the time since a request arrived, and the times of its named parts.

    Attributes:
        parts: name and seconds of each part that has ended without an error.
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
        """Returns a context manager that adds the time of its block to `parts` as `part`.

        If the block raises, its time is not added.
        """
        return _Part(part, self.parts)

    def header(self) -> str:
        """Returns the value of the header `Server-Timing`, in milliseconds.

        The value has the time of each part and `total`, the time since the request arrived.
        """
        entries = [*self.parts, ("total", self.seconds)]
        return ", ".join(f"{name};dur={seconds * 1000:.3f}" for name, seconds in entries)


# A class, because entering a generator with `contextmanager` may take longer than the part.
class _Part:
    """Context manager that times one part of a request.

    If the block ends without an error, the part's name and seconds are appended to `parts`.
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
    """FastAPI dependency: returns the stopwatch that the middleware `RequestTiming` started."""
    stopwatch: Stopwatch = request.scope["stopwatch"]
    return stopwatch


StopwatchDep = Annotated[Stopwatch, Depends(get_stopwatch)]
