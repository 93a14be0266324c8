"""A shorter way for the requests that most requests look like.

FastAPI solves parameters and dependencies anew for each request, which takes longer than the
student. An express route reads a plain request itself, by the same pydantic model. Whatever is not
plain takes FastAPI's own way, and so does whatever is wrong: one place words the errors.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastapi import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.types import Message, Receive, Scope, Send

Express = Callable[[Scope, bytes], Awaitable[Response] | None]
"""Begins an answer to a request and its body, or leaves them to FastAPI."""

B = TypeVar("B", bound=BaseModel)


def express(answer: Express) -> type[APIRoute]:
    """The class of a `POST` route whose plain requests `answer` answers."""

    class ExpressRoute(APIRoute):
        async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
            """Reads the body, and hands it on where it cannot be used."""
            if scope["method"] != "POST" or not _is_json(scope):
                await super().handle(scope, receive, send)
                return
            message = await _whole(receive)
            answering = answer(scope, message.get("body", b""))
            if answering is None:
                await super().handle(scope, _before(message, receive), send)
                return
            response = await answering
            await response(scope, receive, send)

    return ExpressRoute


def parsed(model: type[B], body: bytes) -> B | None:
    """The body, if it is one."""
    try:
        return model.model_validate_json(body)
    except ValidationError:
        return None


def _is_json(scope: Scope) -> bool:
    return (b"content-type", b"application/json") in scope["headers"]


async def _whole(receive: Receive) -> Message:
    """The body in one message; or the word that nobody waits for an answer any more."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return {**message, "body": b"".join(parts)}


def _before(message: Message, receive: Receive) -> Receive:
    """Receives `message` once more, then what follows."""
    first = [message]

    async def receive_again() -> Message:
        return first.pop() if first else await receive()

    return receive_again
