"""A name for each request: in its answer, in every line that is logged meanwhile, in its trace."""

import itertools
import re
import secrets
from collections.abc import Iterable
from contextvars import ContextVar

HEADER = b"x-request-id"

_GIVEN = re.compile(rb"[\w.:/+=-]{1,128}", re.ASCII)
_PROCESS = secrets.token_hex(6)
_numbers = itertools.count()

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


def name_request(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Names the running request as its sender did, or anew; gives the name for the answer."""
    for name, value in headers:
        if name == HEADER and _GIVEN.fullmatch(value):
            request_id.set(value.decode())
            return value
    # A counter behind a random name of the process: unique, and cheaper than a random number.
    fresh = f"{_PROCESS}-{next(_numbers):x}"
    request_id.set(fresh)
    return fresh.encode()
