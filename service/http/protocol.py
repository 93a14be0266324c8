"""uvicorn's HTTP protocol with limits on bytes, time and connections.

The service can run without a proxy, and uvicorn's httptools protocol has none of these limits. This
module limits the bytes of URL and headers, the time until a request is complete, and the number of
connections. `BodyLimit` limits the bodies that the application reads. If a client still sends too
much of a body after its answer, this module closes the connection.
"""

import asyncio
from http import HTTPStatus
from itertools import chain
from typing import Any

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.http.body_limit import MAX_BODY_BYTES, announced_length
from service.http.connections import (
    NEVER,
    Connections,
    EarlyAdmission,
    EarlyRefusal,
    Headers,
    connections_of,
)
from service.http.server_answers import Answered, no_answer, problem, refusal
from service.http.uvicorn_parts import LazyFlow, OneWriteCycle, Pipeline

MAX_URL_BYTES = 8 << 10
MAX_HEADER_BYTES = 16 << 10
"""Maximum number of bytes of all names and values of a request's headers."""

HEADER_SECONDS = 10.0
"""Maximum time for the head of a request: its URL and its headers.

The time begins when the connection is opened or the request's first byte arrives.
"""

BODY_SECONDS = 20.0
"""Maximum time from the end of the headers to the end of the body."""

_MAX_PIPELINED = 256
"""Maximum number of requests of a connection that wait for an earlier answer."""

_LEAVING_SECONDS = 0.3
_UNREAD_SECONDS = 0.01  # the event loop polls its sockets at least once
_ENDING_SECONDS = 0.1
_CHUNK = MAX_HEADER_BYTES
_MAX_HEAD_BYTES = MAX_URL_BYTES + 2 * MAX_HEADER_BYTES  # separators between headers count too
_MAX_HELD_BYTES = 32 << 10  # longer bodies are read by the application as they come
_MAX_UNREAD_BYTES = 2 * MAX_BODY_BYTES


class RefusedError(Exception):
    """A request over a limit; raised in a callback of the parser to stop parsing."""


class LimitedProtocol(HttpToolsProtocol):
    """A client connection: uvicorn's httptools protocol, extended to refuse requests over a limit.

    Attributes:
        deadline: time, in seconds of the event loop's clock, at which an incomplete head (URL and
            headers) or body of a request is refused.
    """

    # Slots keep `__dict__` at 30 keys: objects can share so many, in a fifth of the memory.
    __slots__ = (
        "_all",
        "_before",
        "_held",
        "_is_body_awaited",
        "_is_body_deadline",
        "_is_in_body",
        "_received",
        "_refusal",
        "deadline",
    )

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.pipeline = Pipeline(self._at_start)  # type: ignore[assignment] # as a deque in use
        self.deadline = NEVER
        self._is_in_body = self._is_body_deadline = self._is_body_awaited = False
        # Number of bytes of the incomplete head or body, and of what came in the same piece.
        self._received = 0
        self._refusal: tuple[HTTPStatus, str] | None = None
        self._before: RequestResponseCycle | None = None  # of the request before the present one
        self._all: Connections
        # A request whose body is incomplete, and the application that waits for it.
        self._held: tuple[RequestResponseCycle, ASGI3Application] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accepts the connection; answers 503 and closes it if there are too many connections."""
        super().connection_made(transport)
        self._all = connections_of(self.loop)
        self.flow: LazyFlow = LazyFlow(transport, self._all)
        self.server = self._all.shared(self.server)
        self.deadline = self.loop.time() + HEADER_SECONDS
        if not self._all.add(self, self.client[0] if self.client else ""):
            detail = "too many connections: try again later"
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, detail, retry_after=1)

    def connection_lost(self, exc: Exception | None) -> None:
        """Removes the connection and its awaited request from the counts; frees its memory."""
        self._all.remove(self)
        # The request counts as waiting until its task has had time to notice that the client left.
        if self._is_body_awaited:
            self.loop.call_later(_ENDING_SECONDS, self._all.stop_waiting, 1)
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # of a reset too: the timer would keep its memory
        # They refer back to this object, which would stay until garbage is collected.
        self.pipeline = self.cycle = self.scope = self._held = None  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Passes `data` to the parser in pieces; checks the limits after each piece."""
        if len(data) <= _CHUNK:
            self._received += len(data)
            HttpToolsProtocol.data_received(self, data)
            if self._received:  # rare: a request mostly comes in one piece
                self._limit()
            return
        for start in range(0, len(data), _CHUNK):
            if self.parser is None or self.transport.is_closing():
                return
            self.data_received(data[start : start + _CHUNK])

    def on_header(self, name: bytes, value: bytes) -> None:
        """Stores a header; drops one that comes after the body, because no limit covers it."""
        if not self._is_in_body:
            HttpToolsProtocol.on_header(self, name, value)

    def on_headers_complete(self) -> None:
        """Accepts a request; refuses it if its head is too long or the worker has too much work."""
        if len(self.url) > MAX_URL_BYTES:
            self._stop(HTTPStatus.REQUEST_URI_TOO_LONG, f"the URL is over {MAX_URL_BYTES} bytes")
        # A head that came in one piece cannot be longer than the limit, and is not counted.
        if self._received > _CHUNK and sum(map(len, chain(*self.headers))) > MAX_HEADER_BYTES:
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self._stop(status, f"the headers are over {MAX_HEADER_BYTES} bytes")
        if self.flow.is_ending:
            raise RefusedError
        if len(self.pipeline) >= _MAX_PIPELINED:
            self.abort()
            raise RefusedError
        admission = self._all.admission
        is_busy = admission and (
            admission.is_strained or len(self.tasks) >= admission.accepts_below
        )
        # `_at_start` checks a pipelined request, which waits for an earlier answer.
        is_checked = is_busy and (self.cycle is None or self.cycle.response_complete)
        self._before = self.cycle
        if admission and is_checked and (error := self._refusal_of(admission, is_late=False)):
            self._answer_refused(error)
        else:
            HttpToolsProtocol.on_headers_complete(self)
            self.scope["connection"] = self  # type: ignore[typeddict-unknown-key]
        self._is_in_body = True
        self._received = 1  # 0 would mean that the connection waits for a request

    def on_message_complete(self) -> None:
        """Clears the deadline, and starts a request that was held until its body was complete."""
        HttpToolsProtocol.on_message_complete(self)
        if self._held:
            self._start_held(is_late=self._is_body_deadline and self.deadline < NEVER)
        if self.cycle.response_complete and self.timeout_keep_alive_task is None:
            # The request was answered before its body came, which stopped the keep-alive timer.
            HttpToolsProtocol.on_response_complete(self)
        self._before = None  # it would keep the memory of an answered request
        self._is_in_body = False
        self._received = 0
        self.deadline = NEVER
        if self._is_body_awaited:
            self._count_waiting(is_body_awaited=False)

    def send_400_response(self, msg: str) -> None:
        """Refuses a request that the parser cannot read, for its reason `msg`, or over a limit."""
        self._refuse(*(self._refusal or (HTTPStatus.BAD_REQUEST, msg)))

    def shutdown(self) -> None:
        """Begins the shutdown; refuses a request that is incomplete after `_LEAVING_SECONDS`.

        If reading is held, first reads and answers the request that may have arrived meanwhile.
        """
        if self.flow.is_held:
            self.flow.stop_holding()
            self.loop.call_later(_UNREAD_SECONDS, self.shutdown)
            return
        super().shutdown()
        if self.deadline < NEVER:
            self.loop.call_later(_LEAVING_SECONDS, self._leave)

    def expire(self) -> None:
        """Implements `Connection.expire`. Answers 408 first if a part of a request has arrived."""
        if not self._received:
            self.transport.close()
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "the request took too long to arrive")

    def has_left(self) -> bool:
        """Returns whether the client has closed the connection."""
        return self.transport.is_closing()

    def unread_answer(self) -> object | None:
        """Implements `Connection.unread_answer`."""
        return (self.cycle or self) if self.unread_bytes() else None

    def unread_bytes(self) -> int:
        """Implements `Connection.unread_bytes`."""
        return self.transport.get_write_buffer_size()

    def abort(self) -> None:
        """Implements `Connection.abort`."""
        self.transport.abort()

    def _leave(self) -> None:
        if self.deadline < NEVER:
            self.expire()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Starts the task of a request, or holds the request until its body is complete.

        A task takes 10 KB of memory, which a client could occupy by sending its body slowly.
        """
        cycle.__class__ = OneWriteCycle  # uvicorn makes the cycle and offers no way to choose it
        if cycle.more_body:
            self._held = cycle, app
        else:
            self._start(cycle, app)

    def _start_held(self, *, is_late: bool) -> None:
        """Starts the request that was held for its body; does nothing if there is none.

        `is_late`: whether the body came later than the headers. If it did, the request is refused
        if the worker has too much work by now.
        """
        if self._held is None:
            return
        (cycle, app), self._held = self._held, None
        if admission := self._all.admission:
            error = self._refusal_of(admission, is_late=True) if is_late else None
            if admission.is_strained and error is None:
                error = admission.refusal_of_body(cycle)
            if error:
                self._answer_refused(error)
                return
        self._start(cycle, app)

    def _start(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Starts the task of a request; this is the only place where the application is called."""
        if (admission := self._all.admission) and not admission.accepts_below:
            admission.started(cycle)
        HttpToolsProtocol._start_asgi_task(self, cycle, app)

    def _must_not_be_held(self) -> bool:
        """Returns whether a request starts before its body: a long one, or after `100 Continue`."""
        return self.expect_100_continue or announced_length(self.headers) > _MAX_HELD_BYTES

    def _refusal_of(self, admission: EarlyAdmission, *, is_late: bool) -> EarlyRefusal | None:
        """Returns the reason to refuse the present request, as `EarlyAdmission.refusal` does."""
        head = self.parser.get_method(), self.url, self.headers
        return admission.refusal(self._in_progress(), *head, is_late=is_late)

    def _at_start(self, cycle: RequestResponseCycle, app: ASGI3Application) -> ASGI3Application:
        """Returns `app`, or an application that refuses the pipelined request."""
        if (admission := self._all.admission) is None:
            return app
        method, scope = cycle.scope["method"].encode(), cycle.scope
        working = self._in_progress() - 1  # the task of the earlier request is about to end
        error = admission.refusal(working, method, scope["raw_path"], [*scope["headers"]])
        if error:
            if self._has_held_back(error, [*scope["headers"]], None, keep_alive=cycle.keep_alive):
                cycle.response_started = cycle.response_complete = True
                return no_answer
            app = self._all.refused(error)
        return app

    def _in_progress(self) -> int:
        """Returns the number of requests that the worker must still answer, minus `waiting`.

        Leaves out ended tasks, which uvicorn removes one turn of the event loop later.
        """
        return [each.done() for each in self.tasks].count(False) - self._all.waiting

    def _answer_refused(self, error: EarlyRefusal) -> None:
        """Answers without calling the application, and skips the body of the request."""
        keep_alive = self.parser.should_keep_alive()
        before = [*self._before.scope["headers"]] if self._before else None
        self.cycle = Answered(self.scope)  # type: ignore[assignment] # has the attributes in use
        if self._has_held_back(error, self.headers, before, keep_alive=keep_alive):
            return
        self.transport.write(refusal(error, self._all.cors(self.headers), keep_alive=keep_alive))
        if keep_alive:
            HttpToolsProtocol.on_response_complete(self)
        else:
            self.transport.close()

    def _has_held_back(
        self, error: EarlyRefusal, headers: Headers, before: Headers | None, *, keep_alive: bool
    ) -> bool:
        """Holds back the client of a refused request; returns whether the answer is held back too.

        That is so if the connection ends. `headers`, `before`: as for `EarlyAdmission`.
        """
        seconds = self._all.pause_seconds(self, headers, before, is_last=not keep_alive)
        if seconds and not keep_alive:
            self.flow.end_late(self.loop, seconds, refusal(error, self._all.cors(headers)))
            return True
        self.flow.hold_reading(self.loop, seconds)
        return False

    def pause_writing(self) -> None:
        """Makes the next part of an answer wait, because the client does not read the last one."""
        super().pause_writing()
        self._all.add_unread(self.unread_bytes())

    def _count_waiting(self, *, is_body_awaited: bool) -> None:
        self._all.waiting += is_body_awaited - self._is_body_awaited
        self._is_body_awaited = is_body_awaited

    def _limit(self) -> None:
        """Refuses an incomplete request if it is too long; otherwise sets its deadline.

        Starts the request before its body is complete, if it must not be held.
        """
        is_body = self._is_in_body
        if is_body and self._held and self._must_not_be_held():
            self._start_held(is_late=False)
        is_started = is_body and not self._held and not self.cycle.response_complete
        self._count_waiting(is_body_awaited=is_started)
        if not is_body and self._received > _MAX_HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "URL and headers are too long")
        elif self._received > _MAX_UNREAD_BYTES:
            self.transport.close()
        elif self.deadline == NEVER or self._is_body_deadline is not is_body:
            seconds = BODY_SECONDS if is_body else HEADER_SECONDS
            self.deadline, self._is_body_deadline = self.loop.time() + seconds, is_body

    def _stop(self, status: HTTPStatus, detail: str) -> None:
        self._refusal = status, detail
        raise RefusedError

    def _refuse(self, status: HTTPStatus, detail: str, retry_after: int | None = None) -> None:
        """Closes the connection; first sends a problem with `status` if no answer has begun."""
        if self.transport.is_closing() or self.flow.is_ending:
            return
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if not is_answering or (self._is_in_body and not self.cycle.response_started):
            self.transport.write(problem(status, detail, retry_after, self._all.cors(self.headers)))
        self.transport.close()
