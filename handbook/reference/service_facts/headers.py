"""The headers of requests and answers, for docs/reference/rest.md."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from service.admission.caller import DEFAULT_WAIT_SECONDS, MAX_WAIT_SECONDS
from service.admission.costs import TURN_KINDS

_KINDS = ", ".join(f"*{each}*" for each in TURN_KINDS)
REQUEST_HEADERS: Mapping[str, tuple[str, str]] = {
    "Authorization": ("those with a scope", "`Bearer ID.SECRET`, a key of the service"),
    "Prefer": (
        f"those of the work {_KINDS}",
        f"`wait=N`: the client waits N seconds, 1 to {MAX_WAIT_SECONDS} "
        f"({DEFAULT_WAIT_SECONDS} without it). A request that would get its turn later is answered "
        "503; changes of items in bulk stop then, and the answer says how far they came",
    ),
    "X-Request-ID": (
        "all",
        "id of the request in the service's logs: 1 to 128 letters, digits and `_.:/+=-`; any "
        "other is replaced",
    ),
}
"""Maps each header that the service reads, beside HTTP's own, to its routes and its meaning."""


def request_header_rows() -> Iterator[Sequence[str]]:
    """Yields header, routes and meaning of each header of requests."""
    for name, (routes, meaning) in REQUEST_HEADERS.items():
        yield f"`{name}`", routes, meaning


def answer_header_rows(schema: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    """Yields header, answers and meaning of each header in an OpenAPI schema."""
    for name, header in schema["components"]["headers"].items():
        example = f"{header['description']}, such as `{header['example']}`"
        yield f"`{name}`", _answers_with(name, schema), example


def _answers_with(name: str, schema: Mapping[str, Any]) -> str:
    """Returns the statuses of the answers with a header, and the routes if not all have it."""
    having: dict[str, list[str]] = {}
    lacking = set()
    for path, verbs in schema["paths"].items():
        for verb, operation in verbs.items():
            for status, response in operation["responses"].items():
                if name in response["headers"]:
                    having.setdefault(status, []).append(f"`{verb.upper()} {path}`")
                else:
                    lacking.add(status)
    if not lacking:
        return "all"
    statuses = (
        f"{status} of {', '.join(routes)}" if status in lacking else status
        for status, routes in sorted(having.items())
    )
    return "; ".join(statuses)
