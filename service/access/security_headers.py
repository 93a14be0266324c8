"""Security headers of answers: against content sniffing, caching and embedding of pages."""

from collections.abc import Mapping

NOSNIFF = (b"x-content-type-options", b"nosniff")
NO_STORE = (b"cache-control", b"no-store")
_CACHE_CONTROL = NO_STORE[0]

FOR_PAGES: Mapping[str, str] = {
    "Cache-Control": "no-cache",  # cached, but revalidated by ETag
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
"""Headers of pages and their files, together with a Content-Security-Policy."""


def add_security_headers(headers: list[tuple[bytes, bytes]]) -> None:
    """Adds `nosniff` to an answer's headers, and `no-store` unless they have a `Cache-Control`.

    Answers of the API can hold histories of users; only pages and their files may be cached.
    """
    headers.append(NOSNIFF)
    for name, _ in headers:
        if name == _CACHE_CONTROL:
            return
    headers.append(NO_STORE)


def content_security_policy(*more: str) -> str:
    """Returns a policy that allows this service as the only source, plus the directives `more`."""
    rules = (
        "default-src 'self'",
        *more,
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "object-src 'none'",
    )
    return "; ".join(rules)
