"""A TCP proxy on loopback that imitates faults of the network between a service and its Redis.

It runs in a thread with an event loop of its own, so that a busy test does not slow it down.
"""

import asyncio
import socket
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Self

_BACKLOG = 128
_CHUNK_BYTES = 1 << 16
_POLL_SECONDS = 0.005
_TRIES_TO_END = 40
_PATIENCE_SECONDS = 10


class FaultProxy:
    """Forwards connections to a server, with faults that can be changed at any time.

    Attributes:
        target: port of the server on loopback; a change applies to new connections.
        delay_seconds: time by which each reply is late.
        bytes_per_second: maximum rate of replies per connection; None for no limit.
        is_stalled: whether nothing is forwarded; connections stay open.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.delay_seconds = 0.0
        self.bytes_per_second: float | None = None
        self.is_stalled = False
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._blocking: list[socket.socket] = []

    def __enter__(self) -> Self:
        """Starts to listen on a free port."""
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        """Closes all connections and ends the thread."""
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE_SECONDS)
        self._loop.close()

    def reset_connections(self) -> None:
        """Ends all connections with a TCP reset."""
        self._run(self._reset())

    def drop_new_connections(self) -> None:
        """Resets all connections, and from then on imitates a dead host.

        The SYN packets of new connections get no answer.
        """
        self._run(self._stop_listening())
        self._run(self._reset())
        self._blocking = _deaf_port(self.port)

    def accept_new_connections(self) -> None:
        """Accepts connections again after `drop_new_connections`."""
        for each in self._blocking:
            each.close()
        self._blocking.clear()
        self._run(self._listen())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE_SECONDS)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(
            self._forward, "127.0.0.1", self.port, backlog=_BACKLOG, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _reset(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _end(self) -> None:
        # asyncio leaks a connection that is accepted in the turn in which the server closes.
        await asyncio.sleep(_POLL_SECONDS)
        await self._stop_listening()
        for each in self._blocking:
            each.close()
        for _ in range(_TRIES_TO_END):  # a connection may just have been accepted
            await self._reset()
            if not (tasks := asyncio.all_tasks() - {asyncio.current_task()}):
                break
            await asyncio.wait(tasks, timeout=_POLL_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(_POLL_SECONDS)  # lets the aborted transports close their sockets

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            upstream, server = await asyncio.open_connection("127.0.0.1", self.target)
            self._writers.add(server)
            try:
                there = asyncio.create_task(self._pump(reader, server, delayed=False))
                back = asyncio.create_task(self._pump(upstream, writer, delayed=True))
                await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
                there.cancel()
                back.cancel()
                await asyncio.gather(there, back, return_exceptions=True)
            finally:
                self._writers.discard(server)
                server.transport.abort()
        except (OSError, asyncio.CancelledError):
            pass  # the server is down or the proxy ends: the client sees a closed connection
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, delayed: bool
    ) -> None:
        chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        sending = asyncio.create_task(self._send(chunks, writer, is_limited=delayed))
        try:
            with suppress(OSError):
                while data := await reader.read(_CHUNK_BYTES):
                    delay = self.delay_seconds if delayed else 0
                    chunks.put_nowait((self._loop.time() + delay, data))
        finally:
            sending.cancel()

    async def _send(
        self,
        chunks: "asyncio.Queue[tuple[float, bytes]]",
        writer: asyncio.StreamWriter,
        *,
        is_limited: bool,
    ) -> None:
        while True:
            due, data = await chunks.get()
            await asyncio.sleep(due - self._loop.time())
            if is_limited and self.bytes_per_second:
                await asyncio.sleep(len(data) / self.bytes_per_second)
            while self.is_stalled:
                await asyncio.sleep(_POLL_SECONDS)
            writer.write(data)


def _deaf_port(port: int) -> list[socket.socket]:
    """Listens on `port` with a full queue, so that the kernel drops further SYN packets.

    Returns:
        The sockets that fill the queue. New connections are possible again once they are closed.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(0)
    fillers = [socket.socket() for _ in range(4)]
    for each in fillers:
        each.setblocking(False)
        each.connect_ex(("127.0.0.1", port))
    return [listener, *fillers]
