"""Percent-encoded ids in URL paths: an id may contain any character, even `/`.

The router matches the path as it was sent, so that an encoded `/` does not separate path segments.
Each id is decoded afterwards.
"""

from typing import Annotated
from urllib.parse import unquote

from fastapi import Path
from pydantic import BeforeValidator
from starlette.types import Scope

from service.settings import MAX_ITEM_ID_LENGTH, MAX_SESSION_ID_LENGTH, MAX_USER_ID_LENGTH


def keep_encoded(scope: Scope) -> None:
    """Sets the path of an ASGI scope to the percent-encoded path that the client sent.

    `ItemIdInPath`, `SessionIdInPath` and `UserIdInPath` decode the ids.
    """
    raw_path = scope.get("raw_path")
    if raw_path and b"%" in raw_path:
        scope["path"] = raw_path.partition(b"?")[0].decode("latin-1")


def decoded(encoded: str) -> str:
    """Decodes a percent-encoded id; raises ValueError if it is not UTF-8."""
    return unquote(encoded, errors="strict")


ItemIdInPath = Annotated[
    str, Path(min_length=1, max_length=MAX_ITEM_ID_LENGTH), BeforeValidator(decoded)
]
SessionIdInPath = Annotated[
    str, Path(min_length=1, max_length=MAX_SESSION_ID_LENGTH), BeforeValidator(decoded)
]
UserIdInPath = Annotated[
    str, Path(min_length=1, max_length=MAX_USER_ID_LENGTH), BeforeValidator(decoded)
]
