"""Measures and counts each request; adds the request id and the common headers to its answer."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.access.principal import SCOPE_KEY
from service.access.route_table import ROUTE_KEY
from service.access.security_headers import add_security_headers
from service.http.request_ids import HEADER, assign_request_id
from service.telemetry.metrics import Metrics
from service.telemetry.stopwatch import Stopwatch


class RequestTiming:
    """ASGI middleware: gives each request an id and a stopwatch, and counts it when it ends.

    It also adds the request id and the security headers to every answer.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Starts the stopwatch, passes the request on, and counts the request when it has ended."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        stopwatch = scope["stopwatch"] = Stopwatch()
        request_id = assign_request_id(scope["headers"])
        self._metrics.count_arrival()
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((HEADER, request_id))
                add_security_headers(message["headers"])
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            # The label is the route's template, because a path contains ids, and each id would make
            # a new label value.
            route = scope.get(ROUTE_KEY, "none")
            self._metrics.count_answer(scope["method"], route, status, stopwatch)
            principal = scope.get(SCOPE_KEY)
            if principal is not None and principal.key_id:
                self._metrics.count_key(principal.key_id, status)
