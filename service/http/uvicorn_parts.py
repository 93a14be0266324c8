"""Parts of uvicorn's protocol in a form that takes less memory or time.

uvicorn makes two deques for each connection, of 760 bytes each, which most connections never use.
Thousands of idle connections would take megabytes for them.

uvicorn writes the head and the body of an answer separately. uvloop sends each write at once, so
that an answer would take two system calls.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, SupportsIndex

from uvicorn._types import ASGISendEvent, HTTPResponseBodyEvent, HTTPResponseStartEvent
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    RequestResponseCycle,
)

_LENGTH = b"content-length"
_LEFT_TO_UVICORN = frozenset({b"connection", b"transfer-encoding"})


class LazyFlow(FlowControl):
    """Flow control that creates its `asyncio.Event` only when a client does not read its answer.

    Attributes:
        read_paused: whether reading from the transport is paused.
        write_paused: whether the transport takes no more of an answer for now.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.read_paused = False
        self.write_paused = False

    async def drain(self) -> None:
        """Waits until the transport takes more of an answer."""
        if self.write_paused:
            await self._is_writable_event.wait()

    def pause_writing(self) -> None:
        """Makes `drain` wait until `resume_writing`."""
        if not self.write_paused:
            self.write_paused = True
            self._is_writable_event = asyncio.Event()


class Answered:
    """Stand-in for uvicorn's RequestResponseCycle of a request answered without the application."""

    response_complete = True
    response_started = True
    disconnected = False
    message_event = asyncio.Event()


class Pipeline(list[Any]):
    """The pipelined requests of a connection, which wait for an earlier answer; newest first."""

    __slots__ = ("_at_start",)

    def __init__(self, at_start: Callable[[Any, Any], Any]) -> None:
        """Makes an empty pipeline.

        `at_start`: takes a request and its application when the request starts; returns the
        application that answers it.
        """
        self._at_start = at_start

    def appendleft(self, request: Any) -> None:
        """Adds `request`, which is the newest."""
        self.insert(0, request)

    def pop(self, _: SupportsIndex = -1) -> Any:
        """Removes the oldest request; returns it with the application that answers it."""
        cycle, app = super().pop()
        return cycle, self._at_start(cycle, app)


class OneWriteCycle(RequestResponseCycle):
    """The exchange of one request and its answer, which is sent in one write if it is short.

    Answers that come in parts, that close the connection or that wait for a slow client are sent as
    uvicorn sends them.
    """

    # The head of the answer, which waits for the body.
    _head: HTTPResponseStartEvent | None = None

    async def send(self, message: ASGISendEvent) -> None:
        """Sends a message of the answer; keeps the head until the body comes."""
        if message["type"] == "http.response.start" and not self.response_started:
            self._head = message
            self.waiting_for_100_continue = False  # the body of the request is not asked for now
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

    def _whole(self, head: HTTPResponseStartEvent, message: HTTPResponseBodyEvent) -> bytes | None:
        """Returns the bytes of the whole answer; None if uvicorn must send it."""
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
    """The head of an answer without the values of its headers.

    Attributes:
        text: the head with `%b` in place of each value.
        length_at: position of the header `content-length`.
    """

    text: bytes
    length_at: int


# The names of headers are constants of the application, so there are few combinations of them.
@lru_cache(256)
def _form_of_head(status: int, names: Sequence[bytes]) -> _HeadForm | None:
    """Returns the form of a head with these names; None if uvicorn must write it.

    uvicorn writes heads without one `content-length`, and those that say how the connection goes
    on. It raises an error for a name that is not allowed.
    """
    if names.count(_LENGTH) != 1 or not _LEFT_TO_UVICORN.isdisjoint(names):
        return None
    if any(HEADER_RE.search(name) or name != name.lower() for name in names):
        return None
    lines = [name.replace(b"%", b"%%") + b": %b\r\n" for name in names]
    return _HeadForm(b"".join([STATUS_LINE[status], *lines, b"\r\n"]), names.index(_LENGTH))
