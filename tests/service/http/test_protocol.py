"""The server itself limits bytes, time and connections, asked over raw sockets."""

import asyncio
import gc
import socket
import struct
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvicorn

from service.app import create_app
from service.http import connections, protocol
from service.http.protocol import LimitedProtocol
from service.settings import Settings
from tests.service.conftest import PATIENCE_SECONDS
from tests.service.waiting import until

pytestmark = pytest.mark.anyio

T = TypeVar("T")

POST = b"POST /v1/recommendations HTTP/1.1\r\nHost: s\r\nContent-Type: application/json\r\n"
BODY = b'{"history": ["c"]}'
GOOD = POST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
HEADER_SECONDS, BODY_SECONDS = 0.2, 0.4


@pytest.fixture
async def port(bundle_path: Path) -> AsyncIterator[int]:
    """The port of a server."""
    async with serving(Settings(bundle_path=bundle_path)) as (port, _):
        yield port


@pytest.fixture
def short_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets servers wait for requests for a moment only."""
    monkeypatch.setattr(protocol, "HEADER_SECONDS", HEADER_SECONDS)
    monkeypatch.setattr(protocol, "BODY_SECONDS", BODY_SECONDS)


@asynccontextmanager
async def serving(
    settings: Settings, timeout_keep_alive: int = 75
) -> AsyncIterator[tuple[int, uvicorn.Server]]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(settings),
            http=protocol.LimitedProtocol,
            ws="none",
            lifespan="on",
            log_config=None,
            timeout_graceful_shutdown=PATIENCE_SECONDS,
            timeout_keep_alive=timeout_keep_alive,
        )
    )
    running = asyncio.create_task(server._serve([listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    yield listener.getsockname()[1], server
    server.should_exit = True
    await running


async def answer_to(port: int, *parts: bytes) -> bytes:
    """Sends the parts and reads until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.02)
        answer = await asyncio.wait_for(reader.read(), PATIENCE_SECONDS)
    except ConnectionError:
        pass
    finally:
        writer.close()
    return answer


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /%b HTTP/1.1\r\nHost: s\r\n\r\n" % (b"u" * (8 << 10)), 414),
        (b"GET / HTTP/1.1\r\nHost: s\r\nX: %b\r\n\r\n" % (b"x" * (17 << 10)), 431),
        (b"GET / HTTP/1.1\r\nHost: s\r\n%b\r\n" % (b"X: yyyyyyyyyyyyyyy\r\n" * 1100), 431),
        (b"GET / HTTP/1.1\r\nHost: s\r\nX: %b" % (b"x" * (60 << 10)), 431),
        (POST + b"Content-Length: 1048577\r\nConnection: close\r\n\r\n", 413),
        (b"nonsense\r\n\r\n", 400),
        (b"\r\n" * (30 << 10), 431),
    ],
)
async def test_a_request_beyond_a_limit_of_bytes_is_refused(
    port: int, request_: bytes, status: int
) -> None:
    answer = await answer_to(port, request_)
    assert status_of(answer) == status
    assert b"application/problem+json" in answer


async def test_a_client_that_does_not_read_its_answers_is_ended(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "READ_SECONDS", 0.2)
    async with serving(Settings(bundle_path=bundle_path)) as (port, server):
        with socket.socket() as stuck:
            stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stuck.connect(("127.0.0.1", port))
            stuck.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: s\r\n\r\n" * 200)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not server.server_state.connections:
                    await asyncio.sleep(0.01)
                while server.server_state.connections:
                    await asyncio.sleep(0.05)
            with pytest.raises(ConnectionError):
                stuck.sendall(b"x" * (1 << 20))


@asynccontextmanager
async def stuck_client(
    server: uvicorn.Server, port: int
) -> AsyncIterator[protocol.LimitedProtocol]:
    """A client that asks until an answer waits for it, and reads nothing; yields its connection."""
    with socket.socket() as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.connect(("127.0.0.1", port))
        state = server.server_state
        await until(lambda: bool(state.connections))
        (connection,) = state.connections
        assert isinstance(connection, protocol.LimitedProtocol)
        number = 0
        while not connection.flow.write_paused:
            stuck.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: s\r\n\r\n")
            number += 1
            await until(lambda: state.total_requests == number)  # noqa: B023 - awaited here
        yield connection


async def test_an_answer_that_nobody_reads_takes_no_work_off_the_count(bundle_path: Path) -> None:
    async with (
        serving(Settings(bundle_path=bundle_path)) as (port, server),
        stuck_client(server, port) as connection,
    ):
        await until(lambda: not server.server_state.tasks)
        assert connection._in_progress() == 0


async def test_a_client_is_ended_when_unread_answers_have_too_many_bytes(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        serving(Settings(bundle_path=bundle_path)) as (port, server),
        stuck_client(server, port),
    ):
        monkeypatch.setattr(connections, "MAX_UNREAD_BYTES", 10_000)
        await until(lambda: not server.server_state.connections)


async def test_endless_headers_end_the_connection_within_a_megabyte(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nX: ")
    sent = 0
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while sent < 300 << 20:
                writer.write(b"x" * 65536)
                await writer.drain()
                sent += 65536
    assert sent < 20 << 20  # what the buffers of the machine's sockets take
    writer.close()
    del reader


@pytest.mark.usefixtures("short_deadlines")
@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ((), None),
        ((b"GET /he",), 408),
        ((POST,), 408),
        ((POST + b"Content-Length: 9\r\n\r\n",), 408),
        ((POST + b"Content-Length: 9\r\n\r\n", b"{"), 408),
        ((GOOD, POST + b"Content-Length: 9\r\n\r\n{"), 200),
    ],
)
async def test_a_slow_or_silent_connection_is_ended(
    port: int, parts: tuple[bytes, ...], status: int | None
) -> None:
    answer = await answer_to(port, *parts)
    assert (status_of(answer) if answer else None) == status


@pytest.mark.usefixtures("short_deadlines")
async def test_a_connection_that_has_been_answered_may_stay_idle(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        writer.write(GOOD)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r")[0])
        await reader.readexactly(length)
        assert status_of(head) == 200
        await asyncio.sleep(HEADER_SECONDS + BODY_SECONDS + 0.6)
    writer.close()


def noted_ends(
    monkeypatch: pytest.MonkeyPatch, note: Callable[[LimitedProtocol, Exception | None], T]
) -> list[T]:
    """Returns a list that gets the result of `note` at the end of each connection."""
    lost: list[T] = []
    end = LimitedProtocol.connection_lost

    def noting(protocol: LimitedProtocol, exc: Exception | None) -> None:
        end(protocol, exc)
        lost.append(note(protocol, exc))

    monkeypatch.setattr(LimitedProtocol, "connection_lost", noting)
    return lost


async def test_a_connection_that_its_client_resets_leaves_no_timer(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = noted_ends(monkeypatch, lambda protocol, exc: (exc, protocol.timeout_keep_alive_task))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GOOD)
    assert status_of(await reader.read(1 << 16)) == 200
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    await until(lambda: bool(lost))
    ((reset, timer),) = lost
    assert isinstance(reset, ConnectionResetError)
    assert timer is None


async def test_a_connection_that_ends_frees_its_memory_without_garbage_collection(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = noted_ends(monkeypatch, lambda protocol, _: weakref.ref(protocol))
    gc.disable()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GOOD)
        assert status_of(await reader.read(1 << 16)) == 200
        writer.close()
        await until(lambda: bool(lost))
        await until(lambda: lost[0]() is None)
    finally:
        gc.enable()


async def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    last = GOOD.replace(b"Host: s", b"Host: s\r\nConnection: close")
    answer = await answer_to(port, GOOD * 3 + last)
    assert answer.count(b"HTTP/1.1 200") == 4


async def test_a_connection_too_many_is_refused_and_a_place_becomes_free(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_CLIENT_CONNECTIONS", 1)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.sleep(0.05)
    answer = await answer_to(port)
    assert status_of(answer) == 503
    assert b"retry-after: 1" in answer
    writer.close()
    last = GOOD.replace(b"Host: s", b"Host: s\r\nConnection: close")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while status_of(await answer_to(port, last)) != 200:
            await asyncio.sleep(0.05)


async def test_slow_bodies_do_not_delay_the_end_of_a_worker(bundle_path: Path) -> None:
    async with (
        asyncio.timeout(PATIENCE_SECONDS / 2),  # half of the time that a body has
        serving(Settings(bundle_path=bundle_path)) as (port, server),
    ):
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
        for _, writer in slow:
            writer.write(POST + b"Content-Length: 9\r\n\r\n{")
        arrived: Any = server.server_state.connections
        await until(lambda: sum(each._is_in_body for each in arrived) == len(slow))
    for _, writer in slow:
        writer.close()


async def test_a_trailer_does_not_become_a_header(port: int) -> None:
    head = POST + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    chunks = b"%x\r\n%s\r\n0\r\nX-Request-ID: from-a-trailer\r\n\r\n" % (len(BODY), BODY)
    answer = await answer_to(port, head + chunks)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"from-a-trailer" not in answer


async def test_a_connection_has_a_limited_number_of_pipelined_requests(port: int) -> None:
    answer = await answer_to(port, b"GET /healthz HTTP/1.1\r\nHost: s\r\n\r\n" * 2000)
    assert answer.count(b"HTTP/1.1 200") <= 1 + protocol._MAX_PIPELINED


async def test_pipelined_requests_within_the_limit_are_all_answered(port: int) -> None:
    last = b"GET /healthz HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n"
    answer = await answer_to(port, b"GET /healthz HTTP/1.1\r\nHost: s\r\n\r\n" * 10 + last)
    assert answer.count(b"HTTP/1.1 200") == 11
