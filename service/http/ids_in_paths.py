"""Ids in paths: whatever stands in an id, `/` too, may be percent-encoded.

Routes are found by the path as it was sent, in which an encoded `/` parts nothing; each id is
decoded on its own afterwards.
"""

from typing import Annotated
from urllib.parse import unquote

from fastapi import Path
from pydantic import BeforeValidator
from starlette.types import ASGIApp, Receive, Scope, Send


class EncodedPath:
    """ASGI middleware: leaves the decoding of paths to `IdInPath`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Puts the path as it was sent in the place of the decoded one."""
        raw_path = scope.get("raw_path")
        if raw_path and b"%" in raw_path:
            scope["path"] = raw_path.partition(b"?")[0].decode("latin-1")
        await self._app(scope, receive, send)


def decoded(encoded: str) -> str:
    """The id that was percent-encoded; raises ValueError where that is no UTF-8."""
    return unquote(encoded, errors="strict")


ItemIdInPath = Annotated[str, Path(min_length=1, max_length=256), BeforeValidator(decoded)]
SessionIdInPath = Annotated[str, Path(min_length=1, max_length=128), BeforeValidator(decoded)]
