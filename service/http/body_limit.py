"""Limits the length and the structure of request bodies before they are parsed."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.access.route_table import ROUTE_KEY
from service.http.body_structure import MAX_STRUCTURE, MAX_VALUES, has_too_much_structure

MAX_BODY_BYTES = 1 << 20

_LENGTH_DIGITS = 19  # maximum that the HTTP parser allows


class BodyLimit:
    """ASGI middleware: limits the length and the structure of request bodies.

    A body longer than `MAX_BODY_BYTES` gets status 413. A JSON body with too many keys, objects,
    lists or values gets status 422 (`service/http/body_structure.py`).
    """

    def __init__(self, app: ASGIApp, max_structure: Mapping[str, int] = {}) -> None:
        """Makes the middleware.

        Args:
            app: the next middleware.
            max_structure: maximum number of keys, objects and lists in a body, by the path template
                of the route. Any other route has the limit `MAX_STRUCTURE`.
        """
        self._app = app
        self._max_structure = max_structure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on with a `receive` that raises HTTPException beyond the limits."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def receive_limited() -> Message:
            # Checked before any part of the body is read.
            _check_length(announced_length(scope["headers"]))
            message = await whole_body(receive)
            allowed = self._max_structure.get(scope.get(ROUTE_KEY, ""), MAX_STRUCTURE)
            if has_too_much_structure(message.get("body", b""), allowed):
                # `service.api.problems` answers 422, as to any other invalid body.
                raise HTTPException(
                    HTTPStatus.BAD_REQUEST,
                    f"has more than {allowed} keys, objects and lists, "
                    f"or more than {MAX_VALUES} values",
                )
            return message

        await self._app(scope, receive_limited, send)


async def whole_body(receive: Receive) -> Message:
    """Receives the whole body of a request as one ASGI message.

    If the client leaves before it has sent the whole body, returns the message `http.disconnect`.

    Raises:
        HTTPException: 413, the body is longer than `MAX_BODY_BYTES`.
    """
    message = await receive()
    parts = [_checked(message.get("body", b""), 0)]
    received = len(parts[0])
    while message.get("more_body", False):
        message = await receive()
        parts.append(_checked(message.get("body", b""), received))
        received += len(parts[-1])
    if message["type"] != "http.request" or len(parts) == 1:
        return message
    return {**message, "body": b"".join(parts)}


def announced_length(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """Returns the length in bytes that the headers of a request announce for its body.

    Returns 0 if there is no body, `MAX_BODY_BYTES` for a chunked body, and a larger number for a
    Content-Length that cannot be read.
    """
    length = 0
    for name, value in headers:
        if name == b"content-length":
            is_readable = value.isdigit() and len(value) <= _LENGTH_DIGITS
            length = max(length, int(value) if is_readable else MAX_BODY_BYTES + 1)
        elif name == b"transfer-encoding":
            length = max(length, MAX_BODY_BYTES)
    return length


def replayed(message: Message, receive: Receive) -> Receive:
    """Returns a `receive` that first returns `message`, then messages from the given `receive`."""
    first = [message]

    async def receive_again() -> Message:
        return first.pop() if first else await receive()

    return receive_again


def _checked(part: bytes, received: int) -> bytes:
    _check_length(received + len(part))
    return part


def _check_length(length: int) -> None:
    if length > MAX_BODY_BYTES:
        raise HTTPException(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the body is longer than {MAX_BODY_BYTES} bytes",
        )
