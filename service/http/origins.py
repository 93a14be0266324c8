"""Lets pages of listed origins read the answers that the server sends by itself (CORS).

Starlette's CORSMiddleware does so for all answers of the application.
"""

from collections.abc import Collection, Iterable

EXPOSED_HEADERS = ("Retry-After", "Server-Timing", "X-Request-ID")
"""Headers of answers that pages of listed origins may read."""

_ALL = "*"
_LINES = (
    "access-control-allow-origin: {}\r\n"
    f"access-control-expose-headers: {', '.join(EXPOSED_HEADERS)}\r\n"
    "vary: Origin\r\n"
)


class Origins:
    """The origins whose pages may call the service from a browser."""

    def __init__(self, names: Collection[str] = ()) -> None:
        """Prepares the header lines of each origin.

        `names`: the origins, such as `https://shop.example`; `*` stands for all.
        """
        listed = [_ALL] if _ALL in names else names
        self._lines = {each.encode(): _LINES.format(each).encode() for each in listed}
        self._of_others = self._lines.get(_ALL.encode(), b"")

    def lines_for(self, headers: Iterable[tuple[bytes, bytes]] | None) -> bytes:
        """Returns the lines of an answer's head by which a page may read it; often none.

        `headers`: headers of the request, with names in lower case; None: none have come.
        """
        if self._lines:
            for name, value in headers or ():
                if name == b"origin":
                    return self._lines.get(value, self._of_others)
        return b""
