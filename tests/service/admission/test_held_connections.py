"""A client that sends on after refusals is read later; it alone waits, and it loses nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn

from service.access.key_commands import NewKey, create_key
from service.access.principal import Scope
from service.admission import refusal_pace, rests
from service.http import connections
from service.settings import Settings
from tests.service.admission.sockets import GET, answer_of, runtime_of, working
from tests.service.conftest import PATIENCE_SECONDS
from tests.service.http.test_protocol import POST, serving, status_of

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _no_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal pauses its connection for a minute, if another key was here within a minute."""
    monkeypatch.setattr(refusal_pace, "_ACTIVE_SECONDS", 60)
    monkeypatch.setattr(refusal_pace, "_BURST", 0)
    monkeypatch.setattr(refusal_pace, "_PER_SECOND", 1 / 60)
    monkeypatch.setattr(refusal_pace, "_MAX_PAUSE_SECONDS", 60)


class Keys:
    """The encoded requests of two keys."""

    def __init__(self, path: Path) -> None:
        new = NewKey(frozenset({Scope.READ}))
        self.path = path
        self.greedy, self.modest = (
            b"Authorization: Bearer %b\r\n" % create_key(path, new).encode() for _ in range(2)
        )

    def asking(self, key: bytes, path: bytes = b"/v1/model") -> bytes:
        return GET[:-2] % path + key + b"\r\n"

    def asking_once(self, key: bytes) -> bytes:
        """A request after which the server closes the connection."""
        return self.asking(key)[:-2] + b"Connection: close\r\n\r\n"


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys.json")


@asynccontextmanager
async def busy(
    bundle_path: Path, keys: Keys, *, is_alone: bool = False
) -> AsyncIterator[tuple[int, uvicorn.Server]]:
    """A service that refuses light requests while the context is open.

    The modest key has sent a request, unless the greedy one is to be alone.
    """
    settings = Settings(bundle_path=bundle_path, light_requests=1, keys_file=keys.path)
    async with (
        serving(settings) as (port, server),
        working(server, port, keys.greedy if is_alone else keys.modest),
    ):
        if not is_alone:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(keys.asking(keys.modest, b"/healthz"))
            assert status_of(await answer_of(reader)) == 200
            writer.close()
        yield port, server


async def test_after_a_refusal_the_key_s_next_request_is_read_later_and_others_at_once(
    bundle_path: Path, keys: Keys
) -> None:
    async with busy(bundle_path, keys) as (port, _):
        (greedy, sending), (modest, other), (new, again) = [
            await asyncio.open_connection("127.0.0.1", port) for _ in range(3)
        ]
        sending.write(keys.asking(keys.greedy))
        assert status_of(await answer_of(greedy)) == 503
        late = asyncio.ensure_future(answer_of(greedy))
        sending.write(keys.asking(keys.greedy, b"/healthz"))
        for _ in range(5):
            other.write(keys.asking(keys.modest, b"/healthz"))
            assert status_of(await answer_of(modest)) == 200
        again.write(keys.asking(keys.greedy, b"/healthz"))
        assert status_of(await answer_of(new)) == 200  # a connection without refusals
        assert not late.done()
        late.cancel()
        for each in (sending, other, again):
            each.close()


async def test_a_refusal_after_a_late_body_knows_the_key_that_sent_before_on_the_connection(
    bundle_path: Path, keys: Keys
) -> None:
    settings = Settings(bundle_path=bundle_path, light_requests=1, keys_file=keys.path)
    body = b'{"history": ["c"]}'
    late = POST + keys.greedy + b"Content-Length: 18\r\n\r\n"
    async with serving(settings) as (port, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(keys.asking(keys.modest, b"/healthz"))  # as through a proxy
        assert status_of(await answer_of(reader)) == 200
        writer.write(late)
        await asyncio.sleep(0.1)
        async with working(server, port, keys.modest):
            other_reader, other = await asyncio.open_connection("127.0.0.1", port)
            other.write(keys.asking(keys.modest, b"/healthz"))  # so the greedy key is not alone
            assert status_of(await answer_of(other_reader)) == 200
            other.close()
            writer.write(body)
            assert status_of(await answer_of(reader)) == 503
            writer.write(keys.asking(keys.modest, b"/healthz"))
            answer = await asyncio.wait_for(answer_of(reader), 30)
            assert status_of(answer) == 200  # the connection was not paused for a minute
        writer.close()


async def test_a_worker_that_ends_answers_the_requests_that_wait_unread(
    bundle_path: Path, keys: Keys
) -> None:
    async with busy(bundle_path, keys) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(keys.asking(keys.greedy))
        assert status_of(await answer_of(reader)) == 503
        writer.write(keys.asking(keys.greedy, b"/healthz"))
    assert status_of(await answer_of(reader)) == 200
    assert await reader.read() == b""
    writer.close()


async def test_on_a_connection_of_two_keys_nobody_is_read_later(
    bundle_path: Path, keys: Keys
) -> None:
    async with busy(bundle_path, keys) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(keys.asking(keys.modest, b"/healthz"))
        assert status_of(await answer_of(reader)) == 200
        for _ in range(3):
            writer.write(keys.asking(keys.greedy))
            assert status_of(await answer_of(reader)) == 503
        writer.close()


async def test_a_key_that_is_alone_is_refused_at_once_as_often_as_it_asks(
    bundle_path: Path, keys: Keys
) -> None:
    async with busy(bundle_path, keys, is_alone=True) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(keys.asking(keys.greedy))
            assert status_of(await answer_of(reader)) == 503
        writer.close()


@pytest.mark.parametrize("is_pipelined", [False, True])
async def test_a_client_that_asks_for_the_end_of_each_connection_is_refused_later(
    bundle_path: Path, keys: Keys, is_pipelined: bool
) -> None:
    async with busy(bundle_path, keys) as (port, _):
        (greedy, sending), (modest, other) = [
            await asyncio.open_connection("127.0.0.1", port) for _ in range(2)
        ]
        before = keys.asking(keys.greedy, b"/healthz") if is_pipelined else b""
        ignored = keys.asking(keys.greedy, b"/healthz")
        sending.write(before + keys.asking_once(keys.greedy) + ignored)
        if is_pipelined:
            assert status_of(await answer_of(greedy)) == 200
        late = asyncio.ensure_future(answer_of(greedy))
        for _ in range(5):
            other.write(keys.asking(keys.modest, b"/healthz"))
            assert status_of(await answer_of(modest)) == 200
        assert not late.done()
        other.close()
    # A worker that ends sends the answer first.
    answer = await late
    assert status_of(answer) == 503
    assert b"retry-after: 1\r\n" in answer
    assert b"connection: close\r\n" in answer
    assert await greedy.read() == b""
    sending.close()


async def test_a_late_refusal_comes_when_its_time_is_over_and_ends_the_connection(
    bundle_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusal_pace, "_MAX_PAUSE_SECONDS", 0.05)
    async with busy(bundle_path, keys) as (port, _):
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(keys.asking_once(keys.greedy))
            assert status_of(await answer_of(reader)) == 503
            assert await asyncio.wait_for(reader.read(), PATIENCE_SECONDS) == b""
            writer.close()


async def test_of_too_many_connections_that_end_late_the_last_one_ends_at_once(
    bundle_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_MAX_ENDING_LATE", 1)
    async with busy(bundle_path, keys) as (port, _):
        (first, asks), (second, asks_too) = [
            await asyncio.open_connection("127.0.0.1", port) for _ in range(2)
        ]
        asks.write(keys.asking_once(keys.greedy))
        late = asyncio.ensure_future(answer_of(first))
        asks_too.write(keys.asking(keys.modest, b"/healthz"))
        assert status_of(await answer_of(second)) == 200
        asks_too.write(keys.asking_once(keys.modest))
        assert status_of(await answer_of(second)) == 503
        assert await second.read() == b""
        assert not late.done()
    assert status_of(await late) == 503
    asks.close()
    asks_too.close()


async def test_a_key_that_is_slowed_down_is_accepted_only_while_no_other_light_request_is_worked_on(
    bundle_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rests, "_LIGHT_SECONDS", 60)
    settings = Settings(bundle_path=bundle_path, keys_file=keys.path)

    async def status(key: bytes, path: bytes = b"/v1/model") -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(keys.asking(key, path))
        answer = await answer_of(reader)
        writer.close()
        return status_of(answer)

    async with serving(settings) as (port, server):
        admission = runtime_of(server).admission
        async with working(server, port, keys.modest):
            assert await status(keys.greedy) == 200
            name, value = keys.greedy.strip().split(b": ")
            admission.pause_seconds(server, [(name.lower(), value)], None)  # after a refusal
            assert await status(keys.modest) == 200
            assert await status(keys.greedy) == 503
            assert await status(keys.greedy, b"/healthz") == 200
            assert await status(keys.modest) == 200
        assert await status(keys.greedy) == 200
        assert await status(keys.greedy) == 503  # it rests
        assert await status(keys.modest) == 200
        assert not admission.is_refusing_light()
