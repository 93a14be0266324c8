"""Request ids: every request has an id, which is in its answer and its log lines."""

import itertools
import re
import secrets
from collections.abc import Iterable

from service.telemetry.logs import request_id

HEADER = b"x-request-id"

# Only characters that cannot break a log line.
_ACCEPTED = re.compile(rb"[\w.:/+=-]{1,128}", re.ASCII)
_PROCESS_PREFIX = secrets.token_hex(6)
_numbers = itertools.count()


def assign_request_id(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Chooses the id of the current request, sets it for the log lines and returns it.

    The id is the request's header `X-Request-ID` if it is well formed, else a new one.
    """
    for name, value in headers:
        if name == HEADER and _ACCEPTED.fullmatch(value):
            request_id.set(value.decode())
            return value
    # The process' random prefix and a counter are unique, and cheaper than a random number.
    new_id = f"{_PROCESS_PREFIX}-{next(_numbers):x}"
    request_id.set(new_id)
    return new_id.encode()
