"""uvicorn's server, with a deadline for its end after SIGTERM."""

import asyncio
import os
import signal
import threading
from socket import socket
from types import FrameType

import uvicorn

FINISH_SECONDS = 1
"""Time that running requests have after DRAIN_SECONDS, when the server takes no new ones."""

_END_SECONDS = 1.5
"""Time after DRAIN_SECONDS after which the process ends, even if a part of it hangs."""


class Server(uvicorn.Server):
    """uvicorn's server, which ends by a deadline after SIGTERM, and first accepts what has arrived.

    `service.http.draining` calls `handle_exit` when DRAIN_SECONDS are over.
    """

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Ends the process: at once while it starts, else when its requests are answered."""
        if sig == signal.SIGTERM:
            if not self.started:
                os._exit(0)
            end = threading.Timer(_END_SECONDS, os._exit, [0])
            end.daemon = True
            end.start()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Closes all sockets, but first reads and accepts what has arrived on them."""
        await asyncio.sleep(0.01)  # the event loop polls its sockets at least once
        await super().shutdown(sockets)
