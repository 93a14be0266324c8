"""Refuses requests whose header `Host` does not name this service, as in DNS rebinding attacks.

In this attack, a web page makes its own host name resolve to this machine. The browser then lets
the page read the answers of a service here, but sends the page's host name in the header `Host`.
"""

from collections.abc import Callable, Collection

from starlette.types import ASGIApp, Receive, Scope, Send

from service.access.settings import is_loopback

_MAX_KNOWN = 64
_OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that are answered with any `Host`, because probes and Prometheus send a pod's address."""


class AnswerKnownHosts:
    """ASGI middleware: answers 421 to a request whose header `Host` is not an allowed name.

    The routes of probes and metrics are exempt, since they show no data of users.
    """

    def __init__(
        self, app: ASGIApp, names: Collection[str], answer: Callable[[str], ASGIApp]
    ) -> None:
        """Makes the middleware.

        Args:
            app: the next middleware.
            names: host names and addresses that are allowed besides those of loopback, in lower
                case.
            answer: makes the response to a refused request from the value of its header `Host`.
        """
        self._app = app
        self._answer = answer
        self._names = names
        self._known: set[bytes] = set()  # values of the header that are allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or answers 421 if its `Host` is not allowed."""
        if scope["type"] == "http" and scope["path"] not in _OPEN_PATHS:
            for name, value in scope["headers"]:
                if name == b"host" and value not in self._known and not self._learn(value):
                    await self._answer(value.decode("latin-1"))(scope, receive, send)
                    return
        await self._app(scope, receive, send)

    def _learn(self, value: bytes) -> bool:
        """Returns whether a value of the header `Host` is allowed; caches allowed values."""
        host = _host_in(value.decode("latin-1").lower())
        is_allowed = host in self._names or is_loopback(host)
        if is_allowed and len(self._known) < _MAX_KNOWN:
            self._known.add(value)
        return is_allowed


def _host_in(value: str) -> str:
    """Returns the host name or address in a value of the header `Host`, without the port."""
    if value.startswith("["):
        address, _, port = value[1:].partition("]")
        return address if not port or port.startswith(":") else value
    return value.partition(":")[0].removesuffix(".")
