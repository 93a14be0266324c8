"""A minimal keep-alive HTTP/1.1 connection for load tests.

General HTTP clients use several times as much CPU time as the service. This one sends requests that
were encoded before the run. Of a response it parses only the status line and `content-length`.
"""

import socket

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_RECEIVE_BYTES = 1 << 18


class ProtocolError(ConnectionError):
    """Raised if the server closes the connection, or its response has no `content-length`."""


class Connection:
    """A connection with at most one unanswered request.

    Attributes:
        fd: file descriptor of the socket, for `select`.
        request: number of the last request that was sent; -1 before the first one.
        used_at: time of the last response, in seconds since the start of the run; the caller sets
            it.
    """

    __slots__ = ("_buffer", "_socket", "fd", "request", "used_at")

    def __init__(self, port: int) -> None:
        """Connects to `port` on this machine."""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self.fd = self._socket.fileno()
        self.request = -1
        self.used_at = 0.0

    def send(self, request: int, content: bytes) -> None:
        """Sends `content`, the bytes of request number `request`."""
        self.request = request
        self._socket.sendall(content)

    def receive(self) -> tuple[int, bytes] | None:
        """Reads the bytes that have arrived.

        Call it when the socket is readable.

        Returns:
            Status and body if the response is complete, else None.

        Raises:
            ProtocolError: the server closed the connection or sent no `content-length`.
        """
        received = self._socket.recv(_RECEIVE_BYTES)
        if not received:
            raise ProtocolError("the server closed the connection")
        self._buffer += received
        head, end, body = self._buffer.partition(_HEAD_END)
        if not end or len(body) < _content_length(head):
            return None
        self._buffer = b""
        return int(head[9:12]), body

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()


def _content_length(head: bytes) -> int:
    lowered = head.lower()
    place = lowered.find(_LENGTH)
    if place < 0:
        raise ProtocolError(f"response without content-length: {head[:200]!r}")
    return int(lowered[place + len(_LENGTH) :].split(b"\r\n", 1)[0])


def post(path: str, body: bytes) -> bytes:
    """Returns the bytes of an HTTP request that posts the JSON `body` to `path`."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
