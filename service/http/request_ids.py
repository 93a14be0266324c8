"""Request ids: each request has one, in its answer, in its log lines and in its trace."""

import itertools
import re
import secrets
from collections.abc import Iterable

from service.telemetry.logs import request_id

HEADER = b"x-request-id"

# Nothing that could break a log line.
_ACCEPTED = re.compile(rb"[\w.:/+=-]{1,128}", re.ASCII)
_PROCESS_PREFIX = secrets.token_hex(6)
_numbers = itertools.count()


def assign_request_id(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Sets and returns the id of the running request: that of its `X-Request-ID`, or a new one.

    An id that is malformed is replaced.
    """
    for name, value in headers:
        if name == HEADER and _ACCEPTED.fullmatch(value):
            request_id.set(value.decode())
            return value
    # A random prefix of the process and a counter: unique, and cheaper than a random number.
    new_id = f"{_PROCESS_PREFIX}-{next(_numbers):x}"
    request_id.set(new_id)
    return new_id.encode()
