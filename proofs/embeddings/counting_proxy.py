"""A proxy on loopback before a server with OpenAI's API, which counts what was answered."""

import json
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import httpx

TIMEOUT_SECONDS = 600


class CountingProxy:
    """Forwards requests to a server; a request that the server does not answer ends with 502.

    Attributes:
        answered: how often each text was answered: each to embed, and each prompt.
        requests: how often each request was answered, by its path and body.
        unanswered: number of requests that the server did not answer.
        after_answer: called after each answer, with the number of texts that were answered.
    """

    def __init__(self, target: str) -> None:
        """Creates the proxy.

        `target` is the address of the server's API, such as `http://127.0.0.1:8000/v1`.
        """
        self.reset()
        self.after_answer: Callable[[int], None] = lambda _: None
        self._target, self._lock = target, threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    def reset(self) -> None:
        """Forgets all that was counted."""
        self.answered: Counter[str] = Counter()
        self.requests: Counter[tuple[str, bytes]] = Counter()
        self.unanswered = 0

    @property
    def url(self) -> str:
        """Address of the API through the proxy."""
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def __enter__(self) -> Self:
        """Starts to listen."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the port."""
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def forward(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Sends a request on; returns status and body of the answer, and counts the texts."""
        try:
            answer = httpx.post(
                self._target + path.removeprefix("/v1"),
                content=body,
                headers={"Content-Type": "application/json"},
                timeout=TIMEOUT_SECONDS,
            )
        except httpx.TransportError:
            with self._lock:
                self.unanswered += 1
            return HTTPStatus.BAD_GATEWAY, b"the server does not answer"
        if answer.is_success:
            with self._lock:
                asked = json.loads(body)
                self.answered.update(asked["input"] if "input" in asked else [asked["prompt"]])
                self.requests[path, body] += 1
                total = self.answered.total()
            self.after_answer(total)
        return answer.status_code, answer.content

    def _handler(self) -> Any:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, content = proxy.forward(self.path, body)
                with suppress(ConnectionError):  # of a client that waits no longer
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Logs nothing."""

        return Handler
