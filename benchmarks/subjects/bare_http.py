"""A minimal ASGI application: it reads the request and sends a constant response."""

from typing import Any

BODY = (
    b'{"items":[' + b'{"item_id":"B000000000","title":"A title as long as most","score":1.5},' * 20
)
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Serves one HTTP request with the constant response, as an ASGI application."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
