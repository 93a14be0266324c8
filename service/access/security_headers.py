"""Security headers of answers, against MIME sniffing, caching and embedding of pages."""

from collections.abc import Mapping

NOSNIFF = (b"x-content-type-options", b"nosniff")
NO_STORE = (b"cache-control", b"no-store")
_CACHE_CONTROL = NO_STORE[0]

FOR_PAGES: Mapping[str, str] = {
    "Cache-Control": "no-cache",  # cached, but revalidated by ETag
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
"""Security headers of pages and their files, without the Content-Security-Policy."""


def add_security_headers(headers: list[tuple[bytes, bytes]]) -> None:
    """Adds `X-Content-Type-Options: nosniff` and a default `Cache-Control` to `headers`, in place.

    The default is `no-store`, because answers of the API can hold histories of users. Only pages
    and their files have a `Cache-Control` of their own, and may be cached.
    """
    headers.append(NOSNIFF)
    for name, _ in headers:
        if name == _CACHE_CONTROL:
            return
    headers.append(NO_STORE)


def content_security_policy(*more: str) -> str:
    """Returns a Content-Security-Policy that allows only files of this service.

    `more`: further directives, which can allow other sources.
    """
    rules = (
        "default-src 'self'",
        *more,
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "object-src 'none'",
    )
    return "; ".join(rules)
