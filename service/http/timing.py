"""What is known of a request: where its time went, for `Server-Timing`, and who answered it."""

from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.request_ids import HEADER, name_request
from service.telemetry.stopwatch import Stopwatch

if TYPE_CHECKING:
    from service.telemetry.metrics import Metrics


class RequestTiming:
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
