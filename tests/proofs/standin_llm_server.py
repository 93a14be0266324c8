"""A stand-in of an LLM's server with OpenAI's API, as a program: PORT."""

import json
import sys
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def completion(prompt: str) -> dict[str, Any]:
    """Writes the last title of the prompt, backwards."""
    text = prompt.splitlines()[-1][::-1]
    return {"choices": [{"text": text}], "usage": {"total_tokens": len(prompt) + len(text)}}


def embeddings(texts: list[str]) -> dict[str, Any]:
    """Embeds each text as four numbers."""
    vectors = [[byte / 64 - 2 for byte in zlib.crc32(each.encode()).to_bytes(4)] for each in texts]
    data = [{"index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return {"data": data, "usage": {"total_tokens": 10 * len(texts)}}


class Handler(BaseHTTPRequestHandler):
    """Answers both routes."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = completion(body["prompt"]) if "prompt" in body else embeddings(body["input"])
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        """Logs nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
