"""Writes docs/reference/problems.md: every error that the service answers with."""

from collections.abc import Iterator
from http import HTTPStatus

from handbook.reference.json_schema import one_line, table
from service.api.problems import HEADERS, STATUS
from service.reason_phrases import reason_phrase

INTRODUCTION = """\
# Problems

A refused request is answered with `application/problem+json` (RFC 9457). `title` is the phrase of
the status, `detail` names the thing, its value and what is allowed. With 422, `errors` names each
invalid field. `type` is always `about:blank`: the status tells the kind.

```json
{
  "type": "about:blank",
  "title": "Unprocessable Content",
  "status": 422,
  "detail": "k: must be at most 100, not 1000",
  "errors": [{"field": "k", "message": "must be at most 100, not 1000"}]
}
```

`make reference` writes this page from `service/errors.py` and `service/api/problems.py`.
"""
# Statuses that no error of the service causes, but HTTP itself or a defect.
OTHERS = {
    HTTPStatus.BAD_REQUEST: "The request is not HTTP, or its header lines break a rule of HTTP.",
    HTTPStatus.REQUEST_TIMEOUT: "The request took too long to arrive.",
    HTTPStatus.REQUEST_URI_TOO_LONG: "The URL is too long.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "URL and header lines together are too long.",
    HTTPStatus.MISDIRECTED_REQUEST: "The header `Host` names no host of ALLOWED_HOSTS.",
    HTTPStatus.METHOD_NOT_ALLOWED: "The path exists, with other methods: see the header `Allow`.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is longer than 1 MiB.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "A defect: the log has the details under the request id.",
}


def page() -> str:
    """Returns the text of the page."""
    rows = sorted([*_errors(), *_others()])
    return f"{INTRODUCTION}\n{table(('status', 'error', 'headers', 'cause'), iter(rows))}\n"


def _errors() -> Iterator[tuple[str, ...]]:
    for error, status in STATUS.items():
        meaning = one_line((error.__doc__ or "").partition("\n\n")[0])
        yield _status(status), f"`{error.__name__}`", _headers(status), meaning


def _others() -> Iterator[tuple[str, ...]]:
    for status, meaning in OTHERS.items():
        yield _status(status), "", _headers(status), meaning


def _status(status: HTTPStatus) -> str:
    return f"{status.value} {reason_phrase(status)}"


def _headers(status: HTTPStatus) -> str:
    return ", ".join(f"`{name}`" for name in HEADERS.get(status, ()))
