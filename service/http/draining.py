"""Graceful shutdown: after SIGTERM a worker still answers requests for DRAIN_SECONDS.

During this time the worker reports that it is not ready, so that load balancers stop sending
requests to it before it ends.
"""

import asyncio
import logging
import signal
import threading
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)


class Drain:
    """Delays the shutdown of this worker after SIGTERM, so that it still answers requests.

    Attributes:
        is_draining: whether SIGTERM was received.
    """

    def __init__(self, seconds: float) -> None:
        """Makes a Drain that has not begun.

        `seconds`: time from SIGTERM to the shutdown of the worker; 0: no delay.
        """
        self._seconds = seconds
        self.is_draining = False

    @contextmanager
    def on_sigterm(self) -> Iterator[None]:
        """Context manager that delays the server's SIGTERM handler by `seconds`.

        A second SIGTERM calls the handler at once. In any thread but the main thread the context
        manager does nothing, because only the main thread receives signals.
        """
        stop = signal.getsignal(signal.SIGTERM)
        is_main = threading.current_thread() is threading.main_thread()
        if not is_main or not callable(stop):
            yield
            return
        loop = asyncio.get_running_loop()

        def begin() -> None:
            wait = 0.0 if self.is_draining else self._seconds
            self.is_draining = True
            logger.info("SIGTERM received: draining, this worker stops in %g s", wait)
            loop.call_later(wait, stop, signal.SIGTERM, None)

        loop.add_signal_handler(signal.SIGTERM, begin)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGTERM)
            signal.signal(signal.SIGTERM, stop)  # not the default, which would end the process


class CloseWhileDraining:
    """ASGI middleware: while the worker drains, adds `Connection: close` to its answers.

    The client must then open a new connection, which a load balancer directs to another worker.
    """

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self._app = app
        self._drain = drain

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Passes the request on; adds `Connection: close` to the answer while draining."""
        if scope["type"] != "http" or not self._drain.is_draining:
            return self._app(scope, receive, send)

        async def send_and_close(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"connection", b"close"))
            await send(message)

        return self._app(scope, receive, send_and_close)
