"""A short answer is one write; all other answers are those of uvicorn's own cycle."""

import asyncio
import logging
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from service.http.connections import connections_of
from service.http.uvicorn_parts import LazyFlow, OneWriteCycle
from tests.service.waiting import until

pytestmark = pytest.mark.anyio

DATE = (b"date", b"Sun, 29 Nov 2026 09:00:00 GMT")
FOUR = (b"content-length", b"4")
JSON = (b"content-type", b"application/json")


class FakeTransport(asyncio.Transport):
    """A transport that records what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.is_closed = False
        self.is_read = True

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True


def start(*headers: tuple[bytes, bytes], status: int = 200) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": [*headers]}


def body(content: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": content, "more_body": more}


def cycle_of(
    kind: type[RequestResponseCycle], method: str = "POST", *, keep_alive: bool = True
) -> tuple[RequestResponseCycle, FakeTransport]:
    transport = FakeTransport()
    cycle = kind(
        {"type": "http", "method": method},  # type: ignore[typeddict-item] # the entries in use
        transport,
        FlowControl(transport),
        logging.getLogger("test"),
        logging.getLogger("test"),
        access_log=False,
        default_headers=[DATE],
        message_event=asyncio.Event(),
        expect_100_continue=True,
        keep_alive=keep_alive,
        on_response=lambda: None,
    )
    return cycle, transport


async def test_a_short_answer_is_sent_in_one_write() -> None:
    cycle, transport = cycle_of(OneWriteCycle)
    await cycle.send(start(FOUR, JSON))  # type: ignore[arg-type] # a plain dictionary
    await cycle.send(body(b"1234"))  # type: ignore[arg-type]
    assert transport.written == [
        b"HTTP/1.1 200 OK\r\ndate: Sun, 29 Nov 2026 09:00:00 GMT\r\ncontent-length: 4\r\n"
        b"content-type: application/json\r\n\r\n1234"
    ]
    assert cycle.response_complete


@pytest.mark.parametrize(
    ("messages", "method", "keep_alive"),
    [
        ([start(FOUR, JSON), body(b"1234")], "POST", True),
        ([start(FOUR, (b"X-%s", b"50%")), body(b"1234")], "POST", True),
        ([start(FOUR), body(b"1234")], "HEAD", True),
        ([start(FOUR), body(b"1234")], "POST", False),
        ([start(FOUR, (b"connection", b"close")), body(b"1234")], "POST", True),
        ([start(FOUR), body(b"12", more=True), body(b"34")], "POST", True),
        ([start(JSON), body(b"12", more=True), body(b"34")], "POST", True),
        ([start(status=204), body(b"")], "DELETE", True),
    ],
)
async def test_an_answer_has_the_bytes_that_uvicorn_sends(
    messages: list[Any], method: str, *, keep_alive: bool
) -> None:
    sent = []
    for kind in (OneWriteCycle, RequestResponseCycle):
        cycle, transport = cycle_of(kind, method, keep_alive=keep_alive)
        for message in messages:
            await cycle.send(message)
        sent.append((b"".join(transport.written), transport.is_closed, cycle.response_complete))
    assert sent[0] == sent[1]


@pytest.mark.parametrize(
    ("header", "content"),
    [
        ((b"x", b"a\r\nset-cookie: b"), b"1234"),
        ((b"x:y", b"a"), b"1234"),
        (JSON, b"12345"),
        (JSON, b"123"),
    ],
)
async def test_an_answer_that_uvicorn_refuses_is_refused(
    header: tuple[bytes, bytes], content: bytes
) -> None:
    cycle, transport = cycle_of(OneWriteCycle)
    await cycle.send(start(FOUR, header))  # type: ignore[arg-type]
    with pytest.raises(RuntimeError):
        await cycle.send(body(content))  # type: ignore[arg-type]
    assert b"set-cookie" not in b"".join(transport.written)


async def test_a_client_that_was_answered_is_not_told_to_send_its_body() -> None:
    cycle, transport = cycle_of(OneWriteCycle)
    await cycle.send(start(FOUR))  # type: ignore[arg-type]
    await cycle.send(body(b"1234"))  # type: ignore[arg-type]
    assert await cycle.receive() == {"type": "http.disconnect"}
    assert b"100 Continue" not in b"".join(transport.written)


async def test_an_error_between_head_and_body_is_answered_with_500() -> None:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send(start(FOUR))
        raise ValueError

    cycle, transport = cycle_of(OneWriteCycle)
    await cycle.run_asgi(app)
    assert transport.written[0].startswith(b"HTTP/1.1 500 ")


async def test_a_connection_is_read_again_when_neither_the_server_nor_a_hold_pauses_it() -> None:
    transport = FakeTransport()
    flow = LazyFlow(transport, connections_of(asyncio.get_running_loop()))
    flow.hold_reading(asyncio.get_running_loop(), 0.05)
    flow.pause_reading()
    flow.resume_reading()
    assert not transport.is_read  # the hold
    flow.pause_reading()
    await until(lambda: not flow.is_held)
    assert not transport.is_read  # the server
    flow.resume_reading()
    assert transport.is_read


async def test_a_connection_that_the_server_does_not_pause_is_read_when_its_hold_ends() -> None:
    transport = FakeTransport()
    flow = LazyFlow(transport, connections_of(asyncio.get_running_loop()))
    flow.hold_reading(asyncio.get_running_loop(), 0.05)
    assert not transport.is_read
    await until(lambda: transport.is_read)
    flow.hold_reading(asyncio.get_running_loop(), 60)
    flow.stop_holding()
    assert transport.is_read
    flow.hold_reading(asyncio.get_running_loop(), 60)
    assert transport.is_read


async def test_a_request_waits_for_its_client_only_while_it_has_more_to_send() -> None:
    connections = connections_of(asyncio.get_running_loop())
    flow = LazyFlow(FakeTransport(), connections)
    flow.pause_writing()
    assert connections.waiting == 0
    sending = asyncio.create_task(flow.drain())
    await asyncio.sleep(0)
    assert connections.waiting == 1
    flow.resume_writing()
    await sending
    assert connections.waiting == 0


@pytest.mark.parametrize("has_left", [False, True])
async def test_a_request_that_a_stopping_server_gives_up_is_to_be_sent_again(
    *, has_left: bool
) -> None:
    async def app(*_: Any) -> None:
        await asyncio.Event().wait()

    cycle, transport = cycle_of(OneWriteCycle)
    task = asyncio.create_task(cycle.run_asgi(app))
    await asyncio.sleep(0)
    cycle.disconnected = has_left
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    answer = b"".join(transport.written)
    if has_left:
        assert answer == b""
    else:
        assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"\r\nretry-after: 1\r\n" in answer
        assert transport.is_closed
