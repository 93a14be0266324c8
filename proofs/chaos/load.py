"""Puts load on a service: visitors send events and ask for recommendations.

Each visitor has a session and a connection of its own. It sends an event again and again until the
event is acknowledged, and then sends the next one. So the history that the session must have is
known.
"""

import asyncio
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import orjson

ITEM_ID = "260"
_VISITORS = 30
_ANSWER_SECONDS = 10.0
_READINESS_SECONDS = 0.1
_NO_ANSWER = 599


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request, or the lack of one.

    Attributes:
        due: time at which the request was due, by `time.monotonic`.
        seconds: time from `due` to the answer.
        status: HTTP status; 599 if the connection was lost.
        is_degraded: whether the answer is degraded, or an event was not stored.
    """

    due: float
    seconds: float
    status: int
    is_degraded: bool


@dataclass
class Load:
    """Sends `rate` requests a second to the service on `port`, for the duration of a `with` block.

    Attributes:
        name: prefix of the session ids.
        answers: the answers to all requests, in order of arrival.
        readiness: pairs of a time and whether `/readyz` then said degraded, ten times a second.
        acknowledged: by session id, the ids of its acknowledged events in order.
        num_journalled: number of events that were acknowledged because they were journalled.
        lateness: pairs of the time at which a request was due and the seconds by which this process
            sent it late, though the visitor's answer before it had come in time. Answers are late
            by as much, without any fault of the service.
    """

    port: int
    rate: float
    name: str = "chaos"
    answers: list[Answer] = field(default_factory=list)
    readiness: list[tuple[float, bool]] = field(default_factory=list)
    acknowledged: dict[str, list[str]] = field(default_factory=dict)
    num_journalled: int = 0
    lateness: list[tuple[float, float]] = field(default_factory=list)

    def __enter__(self) -> Self:
        """Starts the visitors in a thread."""
        self._is_over = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops the visitors and waits for their last answers."""
        self._is_over = True
        self._thread.join(_ANSWER_SECONDS + 5)

    async def _run(self) -> None:
        visitors = (self._visit(number) for number in range(_VISITORS))
        await asyncio.gather(*visitors, self._watch_readiness())

    async def _visit(self, number: int) -> None:
        session = f"{''.join(filter(str.isalnum, self.name))}-{number}"
        acknowledged = self.acknowledged.setdefault(session, [])
        client, interval = _Client(self.port), _VISITORS / self.rate
        due = time.monotonic() + interval * number / _VISITORS
        while not self._is_over:
            wait = due - time.monotonic()
            await asyncio.sleep(wait)
            if wait > 0:
                self.lateness.append((due, time.monotonic() - due))
            if len(self.answers) % 3 == 0:
                status, answer = await client.get(f"/v1/sessions/{session}/recommendations?k=5")
                self._record(due, status, answer)
            else:
                event_id = f"e{len(acknowledged)}"
                body = {"item_id": ITEM_ID, "event_id": event_id}
                status, answer = await client.post(f"/v1/sessions/{session}/events?k=5", body)
                if answer.get("stored") or answer.get("reason") == "journalled":
                    acknowledged.append(event_id)
                    self.num_journalled += not answer["stored"]
                self._record(due, status, answer)
            due += interval
        client.close()

    def _record(self, due: float, status: int, answer: dict[str, Any]) -> None:
        is_degraded = answer.get("degraded", True) or not answer.get("stored", True)
        self.answers.append(Answer(due, time.monotonic() - due, status, is_degraded))

    async def _watch_readiness(self) -> None:
        client = _Client(self.port)
        while not self._is_over:
            _, answer = await client.get("/readyz")
            self.readiness.append((time.monotonic(), answer.get("degraded", True)))
            await asyncio.sleep(_READINESS_SECONDS)
        client.close()


class _Client:
    """A keep-alive HTTP connection, which is opened again after it was lost."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writer: asyncio.StreamWriter | None = None

    async def get(self, path: str) -> tuple[int, dict[str, Any]]:
        return await self._send(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode())

    async def post(self, path: str, body: object) -> tuple[int, dict[str, Any]]:
        content = orjson.dumps(body)
        head = (
            f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            f"content-length: {len(content)}\r\n\r\n"
        )
        return await self._send(head.encode() + content)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    async def _send(self, request: bytes) -> tuple[int, dict[str, Any]]:
        with suppress(OSError, EOFError, TimeoutError):
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await self._exchange(request)
        self.close()
        return _NO_ANSWER, {}

    async def _exchange(self, request: bytes) -> tuple[int, dict[str, Any]]:
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        status, content = int(head[9:12]), await self._reader.readexactly(length)
        return status, orjson.loads(content) if b"json" in head else {}
