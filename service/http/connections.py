"""The open connections of a worker: limits their number and gives each connection a deadline."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

from service.errors import OverloadedError, TooManyRequestsError
from service.http.origins import Origins

MAX_CONNECTIONS = 4096
"""Maximum number of open connections of a worker."""

MAX_CLIENT_CONNECTIONS = 2048
"""Maximum number of open connections from one address; a proxy is one address."""

_MAX_ENDING_LATE = 512
"""Maximum number of connections of a worker whose last answer is held back."""

NEVER = float("inf")
"""A deadline that never passes."""

READ_SECONDS = 30.0
"""Maximum time in which a client must read an answer, once the buffers of both sockets are full."""

MAX_UNREAD_BYTES = 64 << 20
"""Maximum total of bytes that a worker keeps of answers which clients have not read.

As many as of incomplete bodies. A client without a key can ask for answers, and then read none.
"""

_SWEEP_SECONDS = 0.5
_EXPIRED_AT_ONCE = 100  # more answers in one turn would delay other requests


T = TypeVar("T")

EarlyRefusal = OverloadedError | TooManyRequestsError
"""A refusal of a request before the application sees it."""

Headers = Sequence[tuple[bytes, bytes]]
"""Names and values of a request's headers."""


class Connection(Protocol):
    """Protocol of a client connection with a deadline.

    Attributes:
        deadline: time, in seconds of the event loop's clock, after which `expire` is called.
    """

    deadline: float

    def expire(self) -> None:
        """Ends the connection, because its deadline has passed."""

    def unread_answer(self) -> object | None:
        """Returns an object that identifies the answer that the client has not read completely.

        Returns None if there is no such answer.
        """

    def unread_bytes(self) -> int:
        """Returns the number of bytes that the server keeps for the client to read."""
        ...

    def abort(self) -> None:
        """Ends the connection without sending the rest of its answer."""


class EarlyAdmission(Protocol):
    """Protocol that accepts or refuses a request by its head: method, URL and headers.

    `service.admission` implements it.

    Attributes:
        accepts_below: number of requests in progress below which no light request is refused; 0
            while light requests are refused. Then `started` must be called for each request.
        is_strained: whether requests may be refused for other reasons now.
    """

    accepts_below: int
    is_strained: bool

    def refusal(
        self,
        in_progress: int,
        method: bytes,
        url: bytes,
        headers: Headers,
        *,
        is_late: bool = False,
    ) -> EarlyRefusal | None:
        """Returns None if the request is accepted, else the reason to refuse it.

        Args:
            in_progress: number of requests that the worker has still to answer, without those in
                `Connections.waiting`.
            method: with `url` and `headers`, the head of the request.
            url: the target of the request, as the client sent it.
            headers: the headers of the request.
            is_late: whether the request was accepted once, and its body has come since then.
        """
        ...

    def refusal_of_body(self, exchange: Any) -> EarlyRefusal | None:
        """Returns None if a request with a complete body is accepted, else the reason to refuse it.

        `exchange`: the request, whose head was accepted.
        """
        ...

    def pause_seconds(self, connection: object, headers: Headers, before: Headers | None) -> float:
        """Returns the seconds for which a connection is not read after a refusal, often 0.

        Args:
            connection: the connection, which can have a weak reference.
            headers: headers of the refused request.
            before: headers of the request before it on the same connection; None: unknown.
        """
        ...

    def started(self, exchange: Any) -> None:
        """Learns that the work on the request `exchange` starts now, for its counts.

        The body is complete, unless it is too long to be held or the client asks for 100 Continue.
        """


class Connections:
    """Counts the connections of one event loop and ends those whose deadline has passed.

    A sweep twice a second looks at all connections, because a timer for each request would cost
    more. So a connection is ended up to half a second after its deadline. The sweep also ends a
    connection whose client does not read an answer within `READ_SECONDS`, and those with the oldest
    unread answers while all have over `MAX_UNREAD_BYTES`.

    Attributes:
        waiting: number of requests that wait for their clients: for the rest of the body, or until
            the rest of the answer can be sent. Each connection adds and subtracts its own requests.
        admission: decides which requests are accepted; None: all requests are accepted.
        refused: makes the ASGI application that answers a refused pipelined request.
        cors: returns the lines of the head of an answer by which a page may read it, as
            `Origins.lines_for` does for the headers of the request.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._addresses: dict[Connection, str] = {}
        self._by_address: Counter[str] = Counter()
        self._is_sweeping = False
        self._ending_late: set[Connection] = set()
        self.waiting = 0
        self.admission: EarlyAdmission | None = None
        self.refused: Callable[[EarlyRefusal], Any]
        self.cors: Callable[[Headers | None], bytes] = Origins().lines_for
        self._servers: dict[object, Any] = {}
        # For each connection, the answer that its client has not read yet, and since when.
        self._unread: dict[Connection, tuple[object, float]] = {}
        self._newly_unread = 0  # bytes since the last look at all of them

    def add(self, connection: Connection, address: str) -> bool:
        """Adds a connection; returns False, and does not add it, if there are too many.

        `address`: IP address of the client. The number of connections is limited in total and per
        address.
        """
        is_full = len(self._addresses) >= MAX_CONNECTIONS
        if is_full or self._by_address[address] >= MAX_CLIENT_CONNECTIONS:
            return False
        self._addresses[connection] = address
        self._by_address[address] += 1
        if not self._is_sweeping:
            self._is_sweeping = True
            self._loop.call_later(_SWEEP_SECONDS, self._sweep)
        return True

    def remove(self, connection: Connection) -> None:
        """Removes a connection; does nothing if `add` has refused it."""
        self._ending_late.discard(connection)
        address = self._addresses.pop(connection, None)
        if address is not None:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    def pause_seconds(
        self, connection: Connection, headers: Headers, before: Headers | None, *, is_last: bool
    ) -> float:
        """Returns the seconds for which a client is held back after a refusal, often 0.

        `is_last`: whether the connection ends after the refusal. It then stays open meanwhile, so
        the number of such connections is limited. The other arguments: see `EarlyAdmission`.
        """
        if self.admission is None:
            return 0.0
        seconds = self.admission.pause_seconds(connection, headers, before)
        if seconds and is_last:
            if len(self._ending_late) >= _MAX_ENDING_LATE:
                return 0.0
            self._ending_late.add(connection)
        return seconds

    def shared(self, server: T) -> T:
        """Returns the first address passed here that equals `server`; this saves memory."""
        same: T = self._servers.setdefault(server, server)
        return same

    def stop_waiting(self, number: int) -> None:
        """Subtracts `number` from `waiting`, the number of requests that wait for their clients."""
        self.waiting -= number

    def add_unread(self, num_bytes: int) -> None:
        """Learns that a client does not read an answer; looks at all, not only in each sweep.

        Answers of many connections can take much memory between two sweeps.
        """
        self._newly_unread += num_bytes
        if self._newly_unread > MAX_UNREAD_BYTES // 2:
            self._newly_unread = 0
            # Not at once, because the connection is in the middle of a write.
            self._loop.call_soon(self._bound_unread)

    def _bound_unread(self) -> None:
        """Aborts the connections with the oldest unread answers while all have too many bytes."""
        self._newly_unread = 0
        self._unread = dict(self._still_unread(self._loop.time()))
        sizes = {each: each.unread_bytes() for each in self._unread}
        total = sum(sizes.values())
        if total <= MAX_UNREAD_BYTES:
            return
        for each in sorted(sizes, key=lambda connection: self._unread[connection][1]):
            if total > MAX_UNREAD_BYTES:
                total -= sizes[each]
                each.abort()

    def _sweep(self) -> None:
        now = self._loop.time()
        self._expire([each for each in self._addresses if each.deadline < now])
        self._bound_unread()
        for each, (_, since) in self._unread.items():
            if since + READ_SECONDS < now:
                each.abort()
        self._is_sweeping = bool(self._addresses)
        if self._is_sweeping:
            self._loop.call_later(_SWEEP_SECONDS, self._sweep)

    def _expire(self, late: Sequence[Connection]) -> None:
        for each in late[:_EXPIRED_AT_ONCE]:
            each.expire()
        if len(late) > _EXPIRED_AT_ONCE:
            self._loop.call_soon(self._expire, late[_EXPIRED_AT_ONCE:])

    def _still_unread(self, now: float) -> Iterator[tuple[Connection, tuple[object, float]]]:
        for each in self._addresses:
            answer = each.unread_answer()
            if answer is not None:
                before, since = self._unread.get(each, (None, now))
                # A client that has finished an earlier answer is slow, but not stuck.
                yield each, (answer, since if before is answer else now)


_of_loops: "WeakKeyDictionary[asyncio.AbstractEventLoop, Connections]" = WeakKeyDictionary()


def connections_of(loop: asyncio.AbstractEventLoop) -> Connections:
    """Returns the Connections of an event loop; creates the object at the first call."""
    connections = _of_loops.get(loop)
    if connections is None:
        connections = _of_loops[loop] = Connections(loop)
    return connections
