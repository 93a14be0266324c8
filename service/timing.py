"""Where the time of a request went, for the `Server-Timing` header."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Annotated

from fastapi import Depends, Request
from starlette.types import ASGIApp, Receive, Scope, Send


class Stopwatch:
    """Runs from the arrival of a request; times the parts that are named."""

    __slots__ = ("_parts", "_started")

    def __init__(self) -> None:
        self._started = perf_counter()
        self._parts: list[str] = []

    @contextmanager
    def time(self, part: str) -> Iterator[None]:
        """Times the block as `part`."""
        started = perf_counter()
        yield
        self._parts.append(_entry(part, started))

    def header(self) -> str:
        """The parts and the total so far, in milliseconds."""
        return ", ".join([*self._parts, _entry("total", self._started)])


class Timed:
    """ASGI middleware: gives each request a stopwatch before anything else looks at it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Starts the stopwatch and passes the request on."""
        scope["stopwatch"] = Stopwatch()
        await self._app(scope, receive, send)


def _entry(name: str, started: float) -> str:
    return f"{name};dur={(perf_counter() - started) * 1000:.3f}"


# A coroutine: FastAPI hands plain functions to a thread.
async def _stopwatch(request: Request) -> Stopwatch:
    stopwatch: Stopwatch = request.scope["stopwatch"]
    return stopwatch


StopwatchDep = Annotated[Stopwatch, Depends(_stopwatch)]
