"""The stopwatch of a request: where its time went, and who answered it."""

from time import perf_counter
from typing import Annotated

from fastapi import Depends, Request


class Stopwatch:
    """Runs from the arrival of a request; times the parts that are named.

    Attributes:
        parts: name and seconds of each part.
        answers: variant, source and `degraded` of each list of recommendations.
    """

    __slots__ = ("_started", "answers", "parts")

    def __init__(self) -> None:
        self._started = perf_counter()
        self.parts: list[tuple[str, float]] = []
        self.answers: list[tuple[str, str, bool]] = []

    @property
    def seconds(self) -> float:
        """Since the arrival."""
        return perf_counter() - self._started

    def time(self, part: str) -> "_Part":
        """Times a `with` block as `part`, if it ends well."""
        return _Part(part, self.parts)

    def header(self) -> str:
        """The parts and the total so far, in milliseconds."""
        entries = [*self.parts, ("total", self.seconds)]
        return ", ".join(f"{name};dur={seconds * 1000:.3f}" for name, seconds in entries)


class _Part:
    """What `contextmanager` makes of a generator takes longer than a part is worth."""

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
