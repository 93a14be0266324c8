"""Bounds the number of requests of one kind, and the bytes of incomplete bodies."""

import asyncio
from collections import Counter

from starlette.types import Message, Receive

from service.admission.gate import Refusal
from service.errors import OverloadedError
from service.http.body_limit import whole_body

_MAX_RECEIVING_BYTES = 64 << 20
"""Maximum total of bytes in the incomplete bodies that one object of `Bodies` receives."""


class Bound:
    """Bounds the number of requests of one kind; a request counts until its answer begins.

    Attributes:
        requests: number of requests that have a place.
    """

    def __init__(self, reason: str, max_requests: int, refused: Refusal) -> None:
        self.requests = 0
        self._promised = 0
        self._reason = reason
        self._max_requests = max_requests
        self._refused = refused

    def promises_none(self) -> bool:
        """Returns whether all places are taken or promised, and counts a refusal; or promises one.

        A promise holds for this turn of the event loop, in which the request takes its place. All
        sockets are read before that. So without promises more requests would start than there are
        places, and refusing one that has started costs several times as much.
        """
        if self._is_refused(self.requests + self._promised):
            return True
        if not self._promised:
            asyncio.get_running_loop().call_soon(self._end_promises)
        self._promised += 1
        return False

    def check(self) -> None:
        """Raises OverloadedError if no place is free; does not take a place."""
        if self._is_refused(self.requests):
            raise OverloadedError

    def enter(self) -> "Place":
        """Takes a place for one request; raises OverloadedError if none is free."""
        self.check()
        self.requests += 1
        return Place(self)

    def _is_refused(self, taken: int) -> bool:
        is_full = taken >= self._max_requests
        if is_full:
            self._refused(self._reason)
        return is_full

    def _end_promises(self) -> None:
        self._promised = 0


class Place:
    """The place of one request within a bound, until `end` is called."""

    def __init__(self, bound: Bound) -> None:
        self._bound = bound
        self._is_over = False

    def end(self) -> None:
        """Gives the place back; a second call does nothing."""
        if not self._is_over:
            self._is_over = True
            self._bound.requests -= 1


class Bodies:
    """Receives whole request bodies, and bounds the bytes of incomplete ones, in all and by key.

    A key may have as many bytes as all keys together leave free: half of the bound if it is alone.
    So a key that sends slowly always leaves room for others.
    """

    def __init__(self, refused: Refusal, max_bytes: int = _MAX_RECEIVING_BYTES) -> None:
        self._bytes_by_key = Counter[str]()
        self._max_bytes = max_bytes
        self._refused = refused

    async def receive(self, receive: Receive, key: str) -> Message:
        """Receives the whole body of one request, and returns it as one ASGI message.

        The last part of a body is never refused, nor is a body that comes in one part.

        Args:
            receive: receives the parts of the body.
            key: the id of the API key of the request; empty without one.

        Raises:
            HTTPException: 413, the body is too long.
            OverloadedError: the incomplete bodies of this key have more bytes than are left free.
        """
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            if message.get("more_body", False):
                length = len(message.get("body", b""))
                received += length
                self._bytes_by_key[key] += length
                if self._bytes_by_key.total() + self._bytes_by_key[key] > self._max_bytes:
                    self._refused("receiving")
                    raise OverloadedError
            return message

        try:
            return await whole_body(receive_counted)
        finally:
            self._bytes_by_key[key] -= received
            if not self._bytes_by_key[key]:
                del self._bytes_by_key[key]
