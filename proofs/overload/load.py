"""Sends streams of requests at a rate that does not depend on the answers, and records each end."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import cast

MAX_CONNECTIONS = 400
"""Maximum number of connections of a stream, each with one unanswered request.

While all are busy, further requests are not sent and only counted.
"""

OK, REFUSED, NO_ANSWER = 200, 503, 599
"""Statuses of an answer: good; refused with `Retry-After`; lost, or refused without it."""

_TICK_SECONDS = 0.001
_MAX_TICKING_RATE = 3_000  # requests a second
_PAUSE_SECONDS = 0.02  # after a refusal
_MAX_LATE_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of a request.

    Attributes:
        sent: time at which the request was sent, by `time.perf_counter`.
        seconds: time from then to the end.
        status: HTTP status, or `NO_ANSWER`.
        is_early: whether the request was sent on a connection before the time that its last refusal
            named in `Retry-After`.
    """

    sent: float
    seconds: float
    status: int
    is_early: bool = False


@dataclass
class Stream:
    """Sends `requests` again and again to `port`, at a rate or as fast as they are answered.

    Attributes:
        answers: the end of each request that was sent.
        unsent: number of requests that found no free connection.
    """

    port: int
    requests: Sequence[bytes]
    answers: list[Answer] = field(default_factory=list)
    unsent: int = 0

    def __post_init__(self) -> None:
        self._next: Iterator[bytes] = cycle(self.requests)
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()

    async def at_rate(self, rate: float, until: asyncio.Event) -> None:
        """Sends `rate` requests a second until the event is set, without waiting for answers.

        Latency counts from when a request is sent. If this process is late by more than 20 ms, it
        leaves requests out.
        """
        due = time.perf_counter()
        while not until.is_set():
            now = time.perf_counter()
            due, unsent = max(due, now - _MAX_LATE_SECONDS), self.unsent
            while due <= now:
                await self._send()
                due += 1 / rate
            # Timers tick in milliseconds, so that at a high rate requests would come in bursts.
            # There this process rather keeps its core busy, unless all connections are. Else the
            # system would do all its own work on the core of the service.
            must_tick = rate <= _MAX_TICKING_RATE or self.unsent > unsent
            await asyncio.sleep(_TICK_SECONDS if must_tick else 0)
        await self._end()

    async def as_answered(self, connections: int, seconds: float) -> float:
        """Keeps `connections` requests in flight for `seconds`; returns good answers a second."""
        began = time.perf_counter()
        while time.perf_counter() < began + seconds:
            while len(self._open) - len(self._idle) < connections:
                await self._send()
            is_refused = bool(self.answers) and self.answers[-1].status != OK
            await asyncio.sleep(_PAUSE_SECONDS if is_refused else _TICK_SECONDS)
        good = sum(each.status == OK for each in self.answers)
        await self._end()
        return good / seconds

    async def _send(self) -> None:
        if self._idle:
            connection = self._idle.pop()
        elif len(self._open) < MAX_CONNECTIONS:
            connection = _Connection(self)
            self._open.add(connection)
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: connection, "127.0.0.1", self.port)
        else:
            self.unsent += 1
            return
        connection.send(next(self._next))

    async def _end(self) -> None:
        """Waits up to ten seconds for the last answers, then closes all connections."""
        for _ in range(500):
            if len(self._idle) == len(self._open):
                break
            await asyncio.sleep(0.02)
        for each in list(self._open):
            each.close()

    def answered(self, connection: "_Connection", status: int, *, is_open: bool) -> None:
        """Records the end of the request of `connection`.

        If `is_open`, the connection can be used for another request.
        """
        now = time.perf_counter()
        is_early = connection.sent < connection.next_at
        self.answers.append(Answer(connection.sent, now - connection.sent, status, is_early))
        if is_open:
            self._idle.append(connection)

    def forget(self, connection: "_Connection") -> None:
        """Removes a closed connection from the stream."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)


class _Connection(asyncio.Protocol):
    """A keep-alive connection with at most one unanswered request.

    Attributes:
        sent: time at which the last request was sent, by `time.perf_counter`.
        next_at: earliest time for another request, by the refusal before the last answer.
    """

    def __init__(self, stream: Stream) -> None:
        self.sent = self.next_at = 0.0
        self._stream = stream
        self._is_waiting = False
        self._buffer = self._head = b""
        self._missing = 0  # bytes of the answer's body, once its head has come

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self, request: bytes) -> None:
        self.sent, self._is_waiting = time.perf_counter(), True
        self._transport.write(request)

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._missing -= len(data)
        if not self._head:
            self._buffer += data
            self._head, end, body = self._buffer.partition(b"\r\n\r\n")
            if not end:
                self._head = b""
                return
            self._buffer, self._head = b"", self._head.lower()
            length = self._head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            self._missing = int(length or 0) - len(body)
        if self._missing <= 0:
            self._end()

    def _end(self) -> None:
        head, self._head, self._is_waiting = self._head, b"", False
        status = int(head[9:12])
        wait = head.partition(b"\r\nretry-after: ")[2].partition(b"\r\n")[0]
        if status == REFUSED and not wait:
            status = NO_ANSWER
        self._stream.answered(self, status, is_open=True)
        if wait:
            self.next_at = time.perf_counter() + int(wait)

    def connection_lost(self, _: Exception | None) -> None:
        if self._is_waiting:
            self._stream.answered(self, NO_ANSWER, is_open=False)
        self._stream.forget(self)
