"""A Redis client with one connection, which all requests of a worker share.

Commands are pipelined: all commands of one event-loop turn are sent in one write, and Redis replies
in their order. A connection pool would need a connection, a lock and a timer for each command. That
overhead would take longer than Redis takes to reply.
"""

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import hiredis
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as LateError

from service.stores.redis_replies import another_node_may_answer, reply_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

# A new connection takes up to four round trips, a command one. A request waits for one deadline
# only; connecting goes on after it, for the requests that follow.
_DEADLINES_TO_CONNECT = 5
# Without a pause, each command that a node refuses would open a new connection.
_SECONDS_BETWEEN_REPLACEMENTS = 0.5
_ASKING = hiredis.pack_command(("ASKING",))


class SharedConnection:
    """Sends commands on one connection, which is opened at the first command.

    After the connection is lost, the next command opens a new one. Some error replies mean that
    another node may have taken over (`another_node_may_answer`). The client then opens a new
    connection in the background: after a failover, the same address leads to the other node.
    """

    def __init__(self, pool: ConnectionPool, timeout_seconds: float) -> None:
        """Makes a client that is not connected yet.

        Args:
            pool: makes connections to the Redis.
            timeout_seconds: maximum time of a command, including the time to wait for a connection.
        """
        self._pool = pool
        self._timeout_seconds = timeout_seconds
        self._pipeline: _Pipeline | None = None
        self._connecting: asyncio.Task[_Pipeline] | None = None
        self._may_replace_at = 0.0

    def execute_command(self, *parts: str | int) -> "Awaitable[Any]":
        """Sends one command; returns what awaits Redis' reply, with strings decoded.

        It is no coroutine, so that a command costs one less. `parts`: the name of the command, then
        its arguments.

        Raises:
            RedisError: Redis refuses the command, is too slow, or cannot be reached; raised to the
                caller that awaits the reply.
        """
        command = hiredis.pack_command(parts)  # type: ignore[arg-type] # the stub has one part only
        pipeline = self._pipeline
        if pipeline is not None and not pipeline.is_retired:
            return pipeline.send(command)
        return self._send_on_new_connection(command)

    async def execute_asking(self, *parts: str | int) -> Any:
        """Sends ASKING and then a command; returns Redis' reply to the command.

        Sent to the node of a cluster that an ASK redirection names. The hash slot is still being
        moved to this node, so it runs the command only after ASKING.

        Raises:
            RedisError: Redis refuses the command, is too slow, or cannot be reached.
        """
        pipeline = self._pipeline
        if pipeline is None or pipeline.is_retired:
            async with deadline(self._timeout_seconds):
                pipeline = await self._connect()
        # Both are queued in one turn, so that no other command comes between them.
        asking = pipeline.send(_ASKING)
        asking.add_done_callback(_forget)
        return await pipeline.send(hiredis.pack_command(parts))  # type: ignore[arg-type] # as above

    async def aclose(self) -> None:
        """Closes the connection; commands that still wait for a reply fail with a LostError."""
        if (connecting := self._connecting) is not None:
            connecting.cancel()
            await asyncio.wait([connecting])  # so that its socket is closed
        if self._pipeline is not None:
            self._pipeline.close(LostError("closed"))
        await self._pool.aclose()

    async def _send_on_new_connection(self, command: bytes) -> Any:
        loop, pipeline, sent_at = asyncio.get_running_loop(), None, 0.0
        try:
            async with deadline(self._timeout_seconds):
                pipeline = await self._connect()
                sent_at = loop.time()
                return await pipeline.send(command)
        except LateError as error:
            # If connecting took most of the time, the connection itself is perhaps fast: keep it.
            if pipeline and loop.time() - sent_at > self._timeout_seconds / 2:
                pipeline.close(error)
            raise

    async def _connect(self) -> "_Pipeline":
        """Opens a new connection; callers that wait at the same time share one connection.

        If a caller is cancelled, the connection is opened nevertheless.
        """
        return await asyncio.shield(self._connecting or self._begin_to_connect())

    def _begin_to_connect(self) -> "asyncio.Task[_Pipeline]":
        self._connecting = asyncio.create_task(self._open())
        self._connecting.add_done_callback(self._keep)
        return self._connecting

    def _replace(self) -> None:
        """Begins to open a connection in the background, to replace the current one.

        Does nothing if a connection is being opened, or if the last replacement began less than
        `_SECONDS_BETWEEN_REPLACEMENTS` ago.
        """
        now = asyncio.get_running_loop().time()
        if self._connecting is None and now >= self._may_replace_at:
            self._may_replace_at = now + _SECONDS_BETWEEN_REPLACEMENTS
            self._begin_to_connect()

    def _keep(self, connecting: "asyncio.Task[_Pipeline]") -> None:
        self._connecting = None
        if not connecting.cancelled() and connecting.exception() is None:
            if self._pipeline is not None:
                self._pipeline.retire()
            self._pipeline = connecting.result()

    async def _open(self) -> "_Pipeline":
        # redis-py resolves the address, connects, and does TLS and authentication. Afterwards
        # `_Pipeline` uses the socket without redis-py.
        connection = self._pool.make_connection()  # type: ignore[no-untyped-call] # redis-py's gap
        try:
            async with deadline(_DEADLINES_TO_CONNECT * self._timeout_seconds):
                await connection.connect()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return _Pipeline(connection, self._timeout_seconds, self._replace)


def _forget(reply: "asyncio.Future[Any]") -> None:
    """Reads the error of a reply that nobody waits for, so that asyncio does not log it."""
    if not reply.cancelled():
        reply.exception()


@asynccontextmanager
async def deadline(seconds: float) -> "AsyncIterator[None]":
    """Context manager that cancels its block after `seconds` and then raises LateError."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise LateError(f"no reply within {seconds} s") from error


class _Pipeline(asyncio.Protocol):
    """An open connection to Redis: writes commands and gives each reply to its command's future."""

    def __init__(
        self,
        connection: AbstractConnection,
        timeout_seconds: float,
        on_refusal: "Callable[[], None]",
    ) -> None:
        self.is_closed = False
        self.is_retired = False  # takes no new commands; those that were sent get their replies
        self._connection = connection  # kept, because its destructor would close the socket
        self._timeout_seconds = timeout_seconds
        self._loop = asyncio.get_running_loop()
        self._on_refusal = on_refusal  # another node may answer in place of this one
        self._reader = hiredis.Reader(encoding="utf-8", errors="replace", replyError=reply_error)
        # Time of sending and future of each command without a reply, oldest first.
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._unsent: list[tuple[bytes, asyncio.Future[Any]]] = []
        self._transport: asyncio.WriteTransport = connection._writer.transport  # type: ignore[union-attr]
        self._transport.set_protocol(self)

    def send(self, command: bytes) -> "asyncio.Future[Any]":
        """Queues a command and returns the future of its reply.

        At the end of this event-loop turn, all queued commands are written. `command` is in Redis'
        wire format. The future raises RedisError if Redis refuses the command, takes longer than
        the timeout or is lost.
        """
        reply: asyncio.Future[Any] = self._loop.create_future()
        if self.is_closed:  # lost between the caller's check and this turn
            reply.set_exception(LostError("Redis closed the connection"))
            return reply
        if not self._unsent:  # a write is expensive: all commands of a turn share one
            self._loop.call_soon(self._write)
        self._unsent.append((command, reply))
        return reply

    def _write(self) -> None:
        if self.is_closed:
            return
        now = self._loop.time()
        self._waiting.extend((now, reply) for _, reply in self._unsent)
        self._transport.write(b"".join([command for command, _ in self._unsent]))
        self._unsent.clear()
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout_seconds, self._check_oldest)

    def data_received(self, data: bytes) -> None:
        """Passes each complete reply to its future; closes the connection if `data` is not a reply.

        asyncio calls this with bytes that arrived, which can hold several replies or a part of one.
        """
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                self._settle_oldest(reply)
                if isinstance(reply, RedisError) and another_node_may_answer(reply):
                    self._on_refusal()
        except (hiredis.ProtocolError, IndexError) as error:
            self.close(LostError(f"not a reply of Redis: {error}"))
        self._close_if_replaced()

    def retire(self) -> None:
        """Marks the connection as retired: it closes as soon as no command waits for a reply.

        The client sends further commands on another connection.
        """
        self.is_retired = True
        self._close_if_replaced()

    def _close_if_replaced(self) -> None:
        if self.is_retired and not self.is_closed and not self._waiting and not self._unsent:
            self.close(LostError("the connection is replaced"))

    def connection_lost(self, error: Exception | None) -> None:
        """Makes commands that wait for a reply fail; asyncio calls this when the connection ends.

        `error` is None if Redis closed the connection.
        """
        self.close(LostError(str(error or "Redis closed the connection")))

    def close(self, reason: RedisError) -> None:
        """Closes the connection; the futures of all commands without a reply raise `reason`."""
        self.is_closed = self.is_retired = True
        self._transport.abort()
        self._connection._writer = None  # otherwise redis-py would warn of an open socket
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.extend((0.0, reply) for _, reply in self._unsent)
        self._unsent.clear()
        while self._waiting:
            self._settle_oldest(reason)

    def _settle_oldest(self, reply: object) -> None:
        _, future = self._waiting.popleft()
        if future.done():  # the caller was cancelled
            return
        if isinstance(reply, Exception):
            future.set_exception(reply)
        else:
            future.set_result(reply)

    def _check_oldest(self) -> None:
        """Closes the connection if the oldest command without a reply is late; a timer calls this.

        Redis replies in order, so a late reply delays the replies to all later commands.
        """
        self._timer = None
        if not self._waiting:
            return
        sent_at, oldest = self._waiting[0]
        remaining = sent_at + self._timeout_seconds - self._loop.time()
        if remaining > 0:
            self._timer = self._loop.call_later(remaining, self._check_oldest)
            return
        # A busy event loop runs its timers before it reads sockets: the reply may have arrived and
        # not be read yet. So the connection is closed only after one more turn.
        self._timer = self._loop.call_later(0, self._give_up, oldest)

    def _give_up(self, oldest: "asyncio.Future[Any]") -> None:
        self._timer = None
        if self._waiting and self._waiting[0][1] is oldest:
            self.close(LateError(f"no reply within {self._timeout_seconds} s"))
        else:
            self._check_oldest()
