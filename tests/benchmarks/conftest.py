"""A server with known delays, for tests of the load generator."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

Delay = Callable[[int], float]
"""Seconds to wait before the answer, by the `number` in the request, else by its place."""


class KnownServer(ThreadingHTTPServer):
    """Echoes each request after a delay, and records the order of arrival and of answers."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, delay: Delay, status: int = 200, *, one_at_a_time: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.delay = delay
        self.status = status
        self.on_body: Callable[[Mapping[str, Any]], object] = lambda _: None
        self.lock = threading.Lock()
        self.turn = threading.Lock() if one_at_a_time else None
        self.bodies: list[Mapping[str, Any]] = []
        self.answered: list[Mapping[str, Any]] = []
        self.at_once = self.most_at_once = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Prints nothing: some tests close the connection before the answer."""

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: KnownServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        # The turn comes before the count, since threads may reach it in any order.
        with self.server.turn or nullcontext():
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        with self.server.lock:
            number = json.loads(body).get("number", len(self.server.bodies))
            self.server.bodies.append(json.loads(body))
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        self.server.on_body(json.loads(body))
        time.sleep(self.server.delay(number))
        with self.server.lock:
            self.server.answered.append(json.loads(body))
            self.server.at_once -= 1
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name in http.server
        """Prints nothing."""


@pytest.fixture
def serve() -> Iterator[Callable[..., KnownServer]]:
    servers: list[KnownServer] = []

    def start(delay: Delay = lambda _: 0.0, **options: Any) -> KnownServer:
        servers.append(KnownServer(delay, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
