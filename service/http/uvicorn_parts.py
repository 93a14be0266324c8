"""Replacements for parts of uvicorn's protocol that take less memory or time.

uvicorn makes two deques for each connection, of 760 bytes each, which most connections never use.
`LazyFlow` and `Pipeline` avoid them, which saves megabytes with thousands of idle connections.

uvicorn writes the head and the body of an answer separately. That takes two system calls, because
uvloop sends each write at once. `OneWriteCycle` writes them together.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Any, NamedTuple, SupportsIndex

from uvicorn._types import ASGISendEvent, HTTPResponseBodyEvent, HTTPResponseStartEvent
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    RequestResponseCycle,
)

from service.errors import LeavingError
from service.http.connections import Connections
from service.http.server_answers import problem

_LENGTH = b"content-length"
_LEFT_TO_UVICORN = frozenset({b"connection", b"transfer-encoding"})


class LazyFlow(FlowControl):
    """Flow control that creates its `asyncio.Event` only when a client does not read its answer.

    Attributes:
        read_paused: whether reading from the transport is paused.
        write_paused: whether the transport's buffer is full, so that the answer must wait.
        is_held: whether reading is paused by `hold_reading`.
        is_ending: whether `end_late` was called: nothing is read any more.
    """

    is_held = is_ending = False
    _last_answer = b""
    _can_be_held = True
    _must_wait = False  # whether the server itself wants reading to be paused

    def __init__(self, transport: asyncio.Transport, connections: Connections) -> None:
        """Makes the flow control of one connection.

        `connections`: counts the request as waiting while it waits for its client.
        """
        self._transport = transport
        self._connections = connections
        self.read_paused = False
        self.write_paused = False

    async def drain(self) -> None:
        """Waits until the transport accepts more data of an answer."""
        if self.write_paused:
            self._connections.waiting += 1
            try:
                await self._is_writable_event.wait()
            finally:
                self._connections.waiting -= 1

    def pause_reading(self) -> None:
        """Pauses reading until `resume_reading` is called."""
        self._must_wait = True
        super().pause_reading()

    def resume_reading(self) -> None:
        """Resumes reading; while it is held, only at the end of that time."""
        if self.read_paused:
            self._must_wait = False
            if not self.is_held:
                super().resume_reading()

    def hold_reading(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        """Pauses reading for `seconds`, unless it is held already or `stop_holding` was called."""
        can_be_held = self._can_be_held and not self._transport.is_closing()
        if seconds and not self.is_held and can_be_held:
            self.is_held = True
            super().pause_reading()
            loop.call_later(seconds, self._release)

    def end_late(self, loop: asyncio.AbstractEventLoop, seconds: float, answer: bytes) -> None:
        """Reads no more; after `seconds`, sends `answer` and closes the connection.

        If reading is held already, the answer is sent at the end of that time. After
        `stop_holding`, it is sent at once.
        """
        self.is_ending, self._last_answer = True, answer
        self.hold_reading(loop, seconds)
        if not self.is_held:
            self._release()

    def stop_holding(self) -> None:
        """Ends the time for which reading is held; it is not held again."""
        self._can_be_held = False
        self._release()

    def _release(self) -> None:
        self.is_held = False
        if self._transport.is_closing():
            return
        if self.is_ending:
            self._transport.write(self._last_answer)
            self._transport.close()
        elif not self._must_wait:
            super().resume_reading()

    def pause_writing(self) -> None:
        """Makes `drain` wait until `resume_writing` is called."""
        if not self.write_paused:
            self.write_paused = True
            self._is_writable_event = asyncio.Event()


class Pipeline(list[Any]):
    """The pipelined requests of a connection that wait for an earlier answer, newest first."""

    __slots__ = ("_at_start",)

    def __init__(self, at_start: Callable[[Any, Any], Any]) -> None:
        """Makes an empty pipeline.

        `at_start`: called with a request and its application when the request starts; returns the
        application that answers the request.
        """
        self._at_start = at_start

    def appendleft(self, request: Any) -> None:
        """Adds `request` as the newest request."""
        self.insert(0, request)

    def pop(self, _: SupportsIndex = -1) -> Any:
        """Removes the oldest request; returns it with the application that answers it.

        The argument is ignored.
        """
        cycle, app = super().pop()
        return cycle, self._at_start(cycle, app)


class OneWriteCycle(RequestResponseCycle):
    """One request and its answer, whose head and body are sent in one write where possible.

    uvicorn's own code sends all other answers: those that come in parts, close the connection or
    wait for a slow client.
    """

    # The head of the answer, which waits for the body.
    _head: HTTPResponseStartEvent | None = None

    async def send(self, message: ASGISendEvent) -> None:
        """Sends an ASGI message of the answer; holds the head until the body comes."""
        if message["type"] == "http.response.start" and not self.response_started:
            self._head = message
            self.waiting_for_100_continue = False  # too late to ask for the request's body
            return
        if self._head is None:
            await super().send(message)
            return
        head, self._head = self._head, None
        if message["type"] == "http.response.body" and (whole := self._whole(head, message)):
            self.response_started = self.response_complete = True
            self.transport.write(whole)
            self.message_event.set()
            self.on_response()
        else:
            await super().send(head)
            await super().send(message)

    async def send_500_response(self) -> None:
        """Answers a request whose application raised an error: 500, or 503 if it was cancelled.

        Only a server that stops cancels: the client sends the request again, to another one.
        """
        if not isinstance(sys.exception(), asyncio.CancelledError):
            await super().send_500_response()
            return
        self._head = None
        self.response_started = self.response_complete = True
        if not self.disconnected:
            self.transport.write(problem(HTTPStatus.SERVICE_UNAVAILABLE, str(LeavingError()), 1))
            self.transport.close()

    def _whole(self, head: HTTPResponseStartEvent, message: HTTPResponseBodyEvent) -> bytes | None:
        """Returns the bytes of the answer that consists of `head` and the body in `message`.

        Returns None if uvicorn's own code must send the answer.
        """
        is_paused = self.disconnected or self.flow.write_paused
        is_uncommon = self.access_log or not self.keep_alive or self.scope["method"] == "HEAD"
        if is_paused or is_uncommon or message.get("more_body", False):
            return None
        headers = (*self.default_headers, *head.get("headers", ()))
        form = _form_of_head(head["status"], tuple([name for name, _ in headers]))
        values = tuple([value for _, value in headers])
        body = message.get("body", b"")
        if form is None or HEADER_VALUE_RE.search(b"".join(values)):
            return None
        if values[form.length_at] != b"%d" % len(body):
            return None
        return form.text % values + body


class _HeadForm(NamedTuple):
    """A template of an answer's head, with placeholders for the values of the headers.

    Attributes:
        text: the head with `%b` in place of each value.
        length_at: position of `content-length` among the headers; the first position is 0.
    """

    text: bytes
    length_at: int


# Header names are constants of the application, so there are few combinations of them.
@lru_cache(256)
def _form_of_head(status: int, names: Sequence[bytes]) -> _HeadForm | None:
    """Returns the template of a head with `status` and the header `names`, or None.

    None: uvicorn must write the head, because it does not have exactly one `content-length`, or has
    `connection`, `transfer-encoding` or an invalid name. For an invalid name, uvicorn raises an
    error.
    """
    if names.count(_LENGTH) != 1 or not _LEFT_TO_UVICORN.isdisjoint(names):
        return None
    if any(HEADER_RE.search(name) or name != name.lower() for name in names):
        return None
    lines = [name.replace(b"%", b"%%") + b": %b\r\n" for name in names]
    return _HeadForm(b"".join([STATUS_LINE[status], *lines, b"\r\n"]), names.index(_LENGTH))
