"""Logs one line per request, if LOG_REQUESTS is set."""

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.access.route_table import ROUTE_KEY

logger = logging.getLogger(__name__)


class RequestLog:
    """ASGI middleware: logs each request when it has been answered.

    It reads the stopwatch that `RequestTiming` starts, so `RequestTiming` must come before it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, then logs method, route, status and time in milliseconds.

        The path itself is not logged, because it contains session ids and arbitrary text from
        clients.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500

        async def send_and_read_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_read_status)
        finally:
            milliseconds = round(scope["stopwatch"].seconds * 1000, 3)
            method, route = scope["method"], scope.get(ROUTE_KEY, "none")
            fields = {"method": method, "route": route, "status": status, "ms": milliseconds}
            logger.info(
                "%s %s %d %.3f ms", method, route, status, milliseconds, extra={"fields": fields}
            )
