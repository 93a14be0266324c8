"""A teacher's server that always recommends the same films, without delay."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ITEM_IDS = ["1196", "2571", "260", "1210", "2028"]


class Teacher(BaseHTTPRequestHandler):
    """Answers `POST /recommendations`."""

    def do_POST(self) -> None:
        """Sends the first `k` films."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        item_ids = ITEM_IDS[: request["k"]]
        distances = [0.1 * place for place in range(len(item_ids))]
        answer = {"teacher_version": "quick", "item_ids": item_ids, "distances": distances}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("", 8100), Teacher)
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    server.serve_forever()
