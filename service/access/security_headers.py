"""Headers of every answer, which tell browsers and caches not to guess and not to keep."""

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
    """Adds the headers to those of an answer: `nosniff`, and `no-store` unless it says otherwise.

    Answers of the API have histories of users; only pages and their files may be cached.
    """
    headers.append(NOSNIFF)
    for name, _ in headers:
        if name == _CACHE_CONTROL:
            return
    headers.append(NO_STORE)


def content_security_policy(*more: str) -> str:
    """Returns a policy that lets a page load from this service only, with further directives."""
    rules = (
        "default-src 'self'",
        *more,
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "object-src 'none'",
    )
    return "; ".join(rules)
