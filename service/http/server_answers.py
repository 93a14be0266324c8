"""Answers that the server sends by itself, without calling the application."""

import asyncio
import json
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from service.access.security_headers import NO_STORE, NOSNIFF
from service.errors import TooManyRequestsError
from service.http.connections import EarlyRefusal
from service.reason_phrases import reason_phrase


class Answered:
    """Stand-in for uvicorn's RequestResponseCycle, for a request that is answered already.

    Attributes:
        scope: the ASGI scope of the request.
    """

    response_complete = True
    response_started = True
    disconnected = False
    message_event = asyncio.Event()

    __slots__ = ("scope",)

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self.scope = scope


async def no_answer(*_: object) -> None:
    """ASGI application for a request that the server answers itself: does nothing."""


def refusal(error: EarlyRefusal, cors: bytes, *, keep_alive: bool = False) -> bytes:
    """Returns the bytes of the answer to a request that is refused with `error`.

    `cors`: lines of the head by which a page may read the answer, from `Origins`. `keep_alive`:
    whether the connection stays open.
    """
    if isinstance(error, TooManyRequestsError):
        seconds, status = error.retry_after_seconds, HTTPStatus.TOO_MANY_REQUESTS
    else:
        seconds, status = error.retry_after, HTTPStatus.SERVICE_UNAVAILABLE
    return problem(status, str(error), seconds, cors, keep_alive=keep_alive)


@lru_cache(256)
def problem(
    status: HTTPStatus,
    detail: str,
    retry_after: int | None = None,
    cors: bytes = b"",
    *,
    keep_alive: bool = False,
) -> bytes:
    """Returns the bytes of an HTTP response with an `application/problem+json` body.

    Args:
        status: HTTP status.
        detail: the reason, for people.
        retry_after: seconds before a retry; None: no header for it.
        cors: lines of the head by which a page may read the answer, from `Origins`.
        keep_alive: whether the connection stays open.
    """
    phrase = reason_phrase(status)
    content = {"type": "about:blank", "title": phrase, "status": status, "detail": detail}
    body = json.dumps({**content, "errors": []}).encode()
    headers = {
        "content-type": "application/problem+json",
        "content-length": len(body),
        **({} if retry_after is None else {"retry-after": retry_after}),
        **({} if keep_alive else {"connection": "close"}),
        **{name.decode(): value.decode() for name, value in (NOSNIFF, NO_STORE)},
    }
    lines = [f"HTTP/1.1 {status.value} {phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, ""]).encode() + cors + b"\r\n" + body
