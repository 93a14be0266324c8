"""Leaving politely: told to stop, a worker is not ready any more, and stops a while later.

In between a load balancer notices, so that no request is sent to a worker that is gone.
"""

import asyncio
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)


class Drain:
    """Whether this worker is about to stop."""

    def __init__(self, seconds: float) -> None:
        """`seconds` lie between SIGTERM and the end; 0 ends at once."""
        self._seconds = seconds
        self.is_draining = False

    @contextmanager
    def on_sigterm(self) -> Iterator[None]:
        """Stands before the server's own handler of SIGTERM; a second one does not wait.

        Signals reach the main thread alone: a server in another thread ends as its owner likes.
        """
        stop = signal.getsignal(signal.SIGTERM)
        is_main = threading.current_thread() is threading.main_thread()
        if not self._seconds or not is_main or not callable(stop):
            yield
            return
        loop = asyncio.get_running_loop()

        def leave() -> None:
            wait = 0.0 if self.is_draining else self._seconds
            self.is_draining = True
            logger.info("leaving in %g s", wait)
            loop.call_later(wait, stop, signal.SIGTERM, None)

        loop.add_signal_handler(signal.SIGTERM, leave)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGTERM)


class CloseWhileDraining:
    """ASGI middleware: what a leaving worker answers ends the connection that it came by.

    Whoever keeps connections open asks another from then on, not one that is gone.
    """

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self._app = app
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on."""
        if scope["type"] != "http" or not self._drain.is_draining:
            await self._app(scope, receive, send)
            return

        async def send_and_close(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"connection", b"close"))
            await send(message)

        await self._app(scope, receive, send_and_close)
