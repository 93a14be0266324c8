"""A keep-alive HTTP/1.1 connection that knows no more than a measurement needs.

General clients cost several times what the service does; this one sends bytes that were made
before the run, and reads a status line and a `content-length`.
"""

import socket

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_RECEIVE_BYTES = 1 << 18


class ProtocolError(ConnectionError):
    """The server closed the connection, or answered in a form that this client does not read."""


class Connection:
    """One request at a time."""

    __slots__ = ("_buffer", "_socket", "fd", "request", "used_at")

    def __init__(self, port: int) -> None:
        """Connects to a server on this machine."""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self.fd = self._socket.fileno()
        self.request = -1
        self.used_at = 0.0

    def send(self, request: int, content: bytes) -> None:
        """Sends `content`, which belongs to the request of that number."""
        self.request = request
        self._socket.sendall(content)

    def receive(self) -> tuple[int, bytes] | None:
        """Status and body, None while they are not whole; call it when there is something to read.

        Raises:
            ProtocolError: there will be no answer.
        """
        received = self._socket.recv(_RECEIVE_BYTES)
        if not received:
            raise ProtocolError("closed by the server")
        self._buffer += received
        head, end, body = self._buffer.partition(_HEAD_END)
        if not end or len(body) < _content_length(head):
            return None
        self._buffer = b""
        return int(head[9:12]), body

    def close(self) -> None:
        """Closes it."""
        self._socket.close()


def _content_length(head: bytes) -> int:
    lowered = head.lower()
    place = lowered.find(_LENGTH)
    if place < 0:
        raise ProtocolError(f"an answer without content-length: {head[:200]!r}")
    return int(lowered[place + len(_LENGTH) :].split(b"\r\n", 1)[0])


def post(path: str, body: bytes) -> bytes:
    """A POST of JSON as it goes over the wire."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
