"""A small embeddings server with OpenAI's API, in this process or as a program: PORT."""

import json
import sys
import threading
import zlib
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SIZE = 4

Answer = tuple[int, Any]


def vector_of(text: str) -> list[float]:
    """Four numbers that depend on the text alone."""
    return [(byte - 128) / 64 for byte in zlib.crc32(text.encode()).to_bytes(SIZE, "big")]


def embeddings_of(texts: list[str]) -> Answer:
    """The answer of a server that works; it counts ten tokens a text."""
    data = [{"index": index, "embedding": vector_of(text)} for index, text in enumerate(texts)]
    return 200, {"data": data, "usage": {"total_tokens": 10 * len(texts)}}


class EmbeddingsServer:
    """Embeds texts, and counts those that it has answered.

    Attributes:
        answered: how often each text was answered.
        requests: number of requests, answered or not.
        answer: makes status and body from the texts of a request.
    """

    def __init__(
        self, answer: Callable[[list[str]], Answer] = embeddings_of, port: int = 0
    ) -> None:
        self.answered: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.answer = answer
        self._port = port
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def requests(self) -> int:
        return len(self.bodies)

    def start(self) -> None:
        """Listens; after a kill, on the same port."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.bodies.append(body)
                status, answer = outer.answer(body["input"])
                if status == 200:
                    outer.answered.update(body["input"])
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, *_: object) -> None:
                """Logs nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._port = self._http.server_port
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    def kill(self) -> None:
        """Closes the port, so that connections are refused."""
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def __enter__(self) -> "EmbeddingsServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


if __name__ == "__main__":
    EmbeddingsServer(port=int(sys.argv[1]))
