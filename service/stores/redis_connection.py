"""One connection to Redis that all requests of a worker share.

Commands leave as they come and Redis answers them in that order, so what several requests ask at
once travels together. A pool lends each command a connection, a lock and a timer of its own, which
takes longer than Redis does.
"""

import asyncio
from collections import deque
from typing import Any

import hiredis
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as LateError


class SharedConnection:
    """Redis at one address; connects when first asked, and again after a failure."""

    def __init__(self, url: str, timeout_seconds: float, **options: Any) -> None:
        """Each answer may take `timeout_seconds`; `options` are redis-py's, for connecting."""
        self._pool = ConnectionPool.from_url(url, **options)
        self._timeout_seconds = timeout_seconds
        self._wire: _Wire | None = None
        self._connecting: asyncio.Task[_Wire] | None = None

    async def execute_command(self, *parts: str | int) -> Any:
        """What Redis answers to a command.

        Raises:
            RedisError: it refuses the command, does not answer in time, or cannot be reached.
        """
        wire = self._wire
        if wire is None or wire.is_lost:
            wire = await self._connect()
        return await wire.ask(hiredis.pack_command(parts))  # type: ignore[arg-type] # its stub wants one part

    async def aclose(self) -> None:
        """Hangs up."""
        if self._wire is not None:
            self._wire.hang_up(LostError("closed"))

    async def _connect(self) -> "_Wire":
        """A new connection, the same one for all who wait for it."""
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._open())
            self._connecting.add_done_callback(self._connected)
        return await asyncio.shield(self._connecting)

    def _connected(self, connecting: "asyncio.Task[_Wire]") -> None:
        self._connecting = None
        if not connecting.cancelled() and connecting.exception() is None:
            self._wire = connecting.result()

    async def _open(self) -> "_Wire":
        # redis-py knows addresses, TLS, names and passwords; it hands over a socket that is ready.
        connection = self._pool.make_connection()  # type: ignore[no-untyped-call] # redis-py's gap
        await connection.connect()
        return _Wire(connection, self._timeout_seconds)


class _Wire(asyncio.Protocol):
    """A connected socket: bytes out, answers in, each to whom it is due."""

    def __init__(self, connection: AbstractConnection, timeout_seconds: float) -> None:
        self.is_lost = False
        self._connection = connection  # it would close the socket if it were forgotten
        self._timeout_seconds = timeout_seconds
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(encoding="utf-8", errors="replace", replyError=_error)
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._unsent: list[tuple[bytes, asyncio.Future[Any]]] = []
        self._transport: asyncio.WriteTransport = connection._writer.transport  # type: ignore[union-attr]
        self._transport.set_protocol(self)

    def ask(self, command: bytes) -> "asyncio.Future[Any]":
        """Sends packed bytes at the end of this turn; the answer comes with the future."""
        answer: asyncio.Future[Any] = self._loop.create_future()
        if self.is_lost:  # since whoever asks began to wait for it
            answer.set_exception(LostError("Redis hung up"))
            return answer
        if not self._unsent:  # writing is dear: what is asked in one turn is written at once
            self._loop.call_soon(self._send)
        self._unsent.append((command, answer))
        return answer

    def _send(self) -> None:
        if self.is_lost:
            return
        now = self._loop.time()
        self._waiting.extend((now, answer) for _, answer in self._unsent)
        self._transport.write(b"".join([command for command, _ in self._unsent]))
        self._unsent.clear()
        if self._watch is None:
            self._watch = self._loop.call_later(self._timeout_seconds, self._look)

    def data_received(self, data: bytes) -> None:
        """Hands out the answers that are complete."""
        self._reader.feed(data)
        try:
            while (answer := self._reader.gets()) is not False:
                self._settle(answer)
        except (hiredis.ProtocolError, IndexError) as error:
            self.hang_up(LostError(f"not an answer: {error}"))

    def connection_lost(self, error: Exception | None) -> None:
        """Tells all who wait."""
        self.hang_up(LostError(str(error or "Redis hung up")))

    def hang_up(self, reason: RedisError) -> None:
        """Ends the connection; what was not answered yet fails with `reason`."""
        self.is_lost = True
        self._transport.abort()
        self._connection._writer = None  # else redis-py warns of a socket left open
        if self._watch is not None:
            self._watch.cancel()
        self._waiting.extend((0.0, answer) for _, answer in self._unsent)
        self._unsent.clear()
        while self._waiting:
            self._settle(reason)

    def _settle(self, answer: object) -> None:
        _, due = self._waiting.popleft()
        if due.done():  # whoever asked has gone
            return
        if isinstance(answer, Exception):
            due.set_exception(answer)
        else:
            due.set_result(answer)

    def _look(self) -> None:
        """Has Redis been silent for too long? Then whatever was asked after is late as well."""
        self._watch = None
        if not self._waiting:
            return
        asked, oldest = self._waiting[0]
        remaining = asked + self._timeout_seconds - self._loop.time()
        if remaining > 0:
            self._watch = self._loop.call_later(remaining, self._look)
            return
        # A busy loop comes to its timers first: the answer may be here, and only not read.
        self._watch = self._loop.call_later(0, self._give_up, oldest)

    def _give_up(self, oldest: "asyncio.Future[Any]") -> None:
        self._watch = None
        if self._waiting and self._waiting[0][1] is oldest:
            self.hang_up(LateError(f"no answer within {self._timeout_seconds} s"))
        else:
            self._look()


def _error(message: str) -> RedisError:
    kind = NoScriptError if message.startswith("NOSCRIPT") else ResponseError
    return kind(message)
