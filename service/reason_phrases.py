"""Reason phrases of HTTP statuses, alike on each version of Python."""

from http import HTTPStatus

# Names of RFC 9110, which Python's own enumeration has from 3.13 on.
_RENAMED = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}


def reason_phrase(status: int) -> str:
    """Returns the reason phrase of an HTTP status, such as `Not Found` (RFC 9110, 15).

    Raises:
        ValueError: there is no such status.
    """
    return _RENAMED.get(status) or HTTPStatus(status).phrase
