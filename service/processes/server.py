"""A uvicorn server that ends within a deadline after SIGTERM."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from functools import partial
from socket import socket
from types import FrameType

import uvicorn

FINISH_SECONDS = 1
"""Seconds after DRAIN_SECONDS to finish requests in progress; new requests are not accepted."""

_END_SECONDS = 1.5
"""Seconds after DRAIN_SECONDS at which the process ends, even if a part of it hangs."""

_ACCEPTS_PER_TURN = 8
"""Number of connections that are accepted in one turn of the event loop.

libuv accepts one connection per listener and turn. A busy worker has long turns. With one listener,
hundreds of new connections, liveness probes included, would wait for seconds. With 16, a client
that opens thousands delays the others' requests: their p99 is over twice the normal one.
"""


class Server(uvicorn.Server):
    """A uvicorn server that ends within a deadline after SIGTERM.

    After SIGTERM, `service.http.draining` first lets DRAIN_SECONDS pass, and then calls
    `handle_exit`. From this call on, the server has `_END_SECONDS` to answer the requests that it
    has, and those that wait in its sockets.
    """

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Ends the server when its requests are answered; after SIGTERM, within `_END_SECONDS`.

        During the start of the server, SIGTERM ends the process at once, with code 0. SIGINT sets
        no deadline.
        """
        if sig == signal.SIGTERM:
            if not self.started:
                os._exit(0)
            end = threading.Timer(_END_SECONDS, os._exit, [0])
            end.daemon = True
            end.start()
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Starts the application, then opens `_ACCEPTS_PER_TURN` listeners on each socket.

        Each listener accepts one connection in a turn of the event loop.
        """
        await super().startup(sockets)
        if self.should_exit:  # the application could not start
            return
        listening = [each.fileno() for server in self.servers for each in server.sockets]
        for file in listening * (_ACCEPTS_PER_TURN - 1):
            self.servers.append(await self._listen(socket(fileno=os.dup(file))))

    async def _listen(self, listener: socket) -> asyncio.Server:
        protocol: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        connect = partial(
            protocol,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        loop = asyncio.get_running_loop()
        return await loop.create_server(connect, sock=listener, backlog=self.config.backlog)

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Accepts the connections and requests that have arrived, then closes all sockets."""
        await asyncio.sleep(0.01)  # the event loop polls its sockets at least once
        await super().shutdown(sockets)
