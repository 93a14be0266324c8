"""A shorter way for the requests that most requests look like.

FastAPI walks through middlewares and routes and solves parameters anew for each request, which
takes longer than the student. A lane knows one route by its path and reads a plain request itself,
by the same pydantic model. Whatever is not plain takes FastAPI's own way, and so does whatever is
wrong with the body: one place words those errors.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fastapi import Response
from pydantic import BaseModel, ValidationError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problems import service_problem
from service.errors import ServiceError
from service.http.body_limit import MAX_BODY_BYTES

LaneHandler = Callable[[Scope, str, bytes], Awaitable[Response] | None]
"""Begins an answer to a request, what its path names and its body, or leaves them to FastAPI."""

B = TypeVar("B", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class FastLane:
    """A `POST` route whose plain requests `answer` answers.

    Attributes:
        path: of the route, as FastAPI and the metrics name it.
        pattern: of plain paths; what its one group matches is handed on.
    """

    path: str
    pattern: re.Pattern[str]
    answer: LaneHandler


class FastLanes:
    """ASGI middleware: answers what a lane can answer, passes on all else."""

    def __init__(self, app: ASGIApp, lanes: Sequence[FastLane]) -> None:
        self._app = app
        self._lanes = lanes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reads the body of what looks plain, and hands it on where it cannot be used."""
        if scope["type"] == "http" and scope["method"] == "POST" and _is_plain(scope):
            for lane in self._lanes:
                if found := lane.pattern.fullmatch(scope["path"]):
                    await self._take(lane, found[1], scope, receive, send)
                    return
        await self._app(scope, receive, send)

    async def _take(
        self, lane: FastLane, named: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        message = await _whole(receive)
        answering = lane.answer(scope, named, message.get("body", b""))
        if answering is None:
            await self._app(scope, _before(message, receive), send)
            return
        scope["route"] = lane
        try:
            response = await answering
        except ServiceError as error:
            response = service_problem(error)
        await response(scope, receive, send)


def parse_body(model: type[B], body: bytes) -> B | None:
    """The body, if it is one."""
    try:
        return model.model_validate_json(body)
    except ValidationError:
        return None


def _is_plain(scope: Scope) -> bool:
    """Whether it is JSON of a length that is told and allowed, and its path means what it says."""
    length = -1
    is_json = False
    for name, value in scope["headers"]:
        if name == b"content-type":
            is_json = value == b"application/json"
        elif name == b"content-length":
            length = int(value) if value.isdigit() else -1
    return is_json and 0 <= length <= MAX_BODY_BYTES and b"%" not in scope.get("raw_path", b"%")


async def _whole(receive: Receive) -> Message:
    """The body in one message; or the word that nobody waits for an answer any more."""
    message = await receive()
    if not message.get("more_body", False):
        return message
    parts = [message.get("body", b"")]
    while message.get("more_body", False):
        message = await receive()
        parts.append(message.get("body", b""))
    return {**message, "body": b"".join(parts)}


def _before(message: Message, receive: Receive) -> Receive:
    """Receives `message` once more, then what follows."""
    first = [message]

    async def receive_again() -> Message:
        return first.pop() if first else await receive()

    return receive_again
