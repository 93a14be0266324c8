"""What is known of a request: where its time went, for `Server-Timing`, and who answered it."""

from time import perf_counter
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.request_ids import HEADER, name_request

if TYPE_CHECKING:
    from service.metrics import Metrics


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


class Timed:
    """ASGI middleware: gives each request a stopwatch, and reports it when it is answered."""

    def __init__(self, app: ASGIApp, metrics: "Metrics") -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Starts the stopwatch and passes the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        stopwatch = scope["stopwatch"] = Stopwatch()
        request_id = name_request(scope["headers"])
        self._metrics.arrive()
        status = 500

        async def send_and_look(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((HEADER, request_id))
            await send(message)

        try:
            await self._app(scope, receive, send_and_look)
        finally:
            # Paths hold ids; the pattern that they match says what was asked.
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.observe(scope["method"], route, status, stopwatch)


# A coroutine: FastAPI hands plain functions to a thread.
async def _stopwatch(request: Request) -> Stopwatch:
    stopwatch: Stopwatch = request.scope["stopwatch"]
    return stopwatch


StopwatchDep = Annotated[Stopwatch, Depends(_stopwatch)]
