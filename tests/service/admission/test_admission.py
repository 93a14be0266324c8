"""The service admits requests by their cost: over its application, and over sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from starlette.types import Message, Receive

from service.access.key_commands import NewKey, create_key
from service.access.principal import Scope
from service.admission import light_shares, strain
from service.admission.admission import Admission, Bodies
from service.admission.caller import Caller
from service.errors import OverloadedError
from service.http.connections import connections_of
from service.ranking.micro_batcher import MicroBatcher
from service.ranking.recommender import Query, Recommendations, Recommender
from service.runtime import Runtime
from service.settings import Settings
from tests.service.http.test_protocol import POST, serving, status_of

if TYPE_CHECKING:
    from tests.service.conftest import Connect

pytestmark = pytest.mark.anyio

HISTORY = {"history": ["c"], "k": 3}
BATCH = {"requests": [HISTORY]}
ONE_SECOND = {"Prefer": "wait=1"}
LONG_BODY = {"history": ["c"], "exclude": ["x" * 200] * 200}


def admission_of(client: httpx.AsyncClient) -> Admission:
    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)
    app = transport.app
    assert isinstance(app, FastAPI)
    admission: Admission = app.state.runtime.admission
    return admission


@asynccontextmanager
async def busy(client: httpx.AsyncClient) -> AsyncIterator[None]:
    """A request has the only turn of heavy work while the context is open."""
    turn = await admission_of(client).heavy.enter(Caller("", 60, lambda: False), 1)
    yield
    turn.end()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/recommendations/batch", BATCH),
        ("POST", "/v1/recommendations", {**HISTORY, "explain": True}),
        ("POST", "/v1/recommendations", LONG_BODY),
        ("GET", "/v1/sessions/ann/recommendations?explain=true", None),
        ("GET", "/v1/items/c/similar", None),
        ("GET", "/v1/items?query=heat", None),
    ],
)
async def test_a_heavy_request_waits_for_its_turn_and_says_503_when_its_time_is_over(
    client: httpx.AsyncClient, method: str, path: str, body: object
) -> None:
    async with busy(client):
        answer = await client.request(method, path, json=body, headers=ONE_SECOND)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await client.request(method, path, json=body, headers=ONE_SECOND)).status_code == 200
    assert admission_of(client).heavy.in_progress == 0


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/healthz", None),
        ("GET", "/readyz", None),
        ("GET", "/metrics", None),
        ("POST", "/v1/recommendations", HISTORY),
        ("POST", "/v1/sessions/ann/events?k=3", {"item_id": "c"}),
    ],
)
async def test_light_and_free_requests_pass_while_heavy_work_waits(
    client: httpx.AsyncClient, method: str, path: str, body: object
) -> None:
    async with busy(client):
        assert (await client.request(method, path, json=body)).status_code == 200


async def test_a_heavy_request_that_finds_the_queue_full_is_refused_before_its_time_is_over(
    bundle_path: Path, connect: "Connect"
) -> None:
    settings = Settings(bundle_path=bundle_path, heavy_queue_units=1)
    async with connect(settings) as client, busy(client):
        waiting = asyncio.create_task(
            client.post("/v1/recommendations/batch", json=BATCH, headers=ONE_SECOND)
        )
        await asyncio.sleep(0.1)
        patient = {"Prefer": "wait=10"}
        async with asyncio.timeout(5):
            refused = await client.post("/v1/recommendations/batch", json=BATCH, headers=patient)
        assert refused.status_code == 503
        assert (await waiting).status_code == 503
        metrics = (await client.get("/metrics")).text
    assert 'recommender_refusals_total{reason="full"} 1.0' in metrics
    assert 'recommender_refusals_total{reason="deadline"} 1.0' in metrics
    assert 'recommender_heavy_units{state="running"} 1.0' in metrics


async def test_the_routes_of_the_teacher_have_a_bound_of_their_own(
    bundle_path: Path, connect: "Connect"
) -> None:
    settings = Settings(bundle_path=bundle_path, teacher_requests=1)
    async with connect(settings) as client:
        place = admission_of(client).waiting_kinds["teacher"].enter()
        refused = await client.post("/v1/compare", json=HISTORY)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert "too much work" in refused.json()["detail"]
        assert (await client.post("/v1/recommendations", json=HISTORY)).status_code == 200
        place.end()
        assert "no teacher" in (await client.post("/v1/compare", json=HISTORY)).json()["detail"]


GET = b"GET %b HTTP/1.1\r\nHost: s\r\n\r\n"
WHOLE = POST + b"Content-Length: 18\r\n\r\n" + b'{"history": ["c"]}'
INCOMPLETE = POST + b"Content-Length: 9\r\n\r\n{"


async def answer_of(reader: asyncio.StreamReader) -> bytes:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head + await reader.readexactly(length)


def runtime_of(server: uvicorn.Server) -> Runtime:
    app = server.config.loaded_app
    while not hasattr(app, "state"):
        app = app.app
    runtime: Runtime = app.state.runtime
    return runtime


@asynccontextmanager
async def working(server: uvicorn.Server, port: int, header: bytes = b"") -> AsyncIterator[None]:
    """A light request is worked on while the context is open."""

    class Held(MicroBatcher):
        async def recommend(self, recommender: Recommender, query: Query) -> Recommendations:
            await over.wait()
            return await super().recommend(recommender, query)

    over = asyncio.Event()
    runtime_of(server).micro_batcher = Held()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(WHOLE.replace(b"\r\n\r\n", b"\r\n" + header + b"\r\n"))
    await asyncio.sleep(0.1)
    yield
    over.set()
    assert status_of(await answer_of(reader)) == 200
    writer.close()


async def test_one_more_light_request_than_the_bound_is_refused_and_its_connection_stays(
    bundle_path: Path,
) -> None:
    settings = Settings(bundle_path=bundle_path, light_requests=1)
    async with serving(settings) as (port, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with working(server, port):
            writer.write(POST + b"Content-Length: 18\r\n\r\n")
            refused = await answer_of(reader)
            assert status_of(refused) == 503
            assert b"retry-after: 1\r\n" in refused
            assert b"application/problem+json" in refused
            writer.write(b'{"history": ["c"]}')  # of the refused request
            writer.write(GET % b"/healthz?x=1")
            assert status_of(await answer_of(reader)) == 200
        writer.write(GET % b"/v1/model")
        assert status_of(await answer_of(reader)) == 200
        writer.close()


async def test_a_client_that_was_refused_is_answered_again_whatever_the_pieces_of_its_requests(
    bundle_path: Path,
) -> None:
    settings = Settings(bundle_path=bundle_path, light_requests=1)
    padding = b" " * 39_982
    long = POST + b"Content-Length: 40000\r\n\r\n" + padding + b'{"history": ["c"]}'
    async with serving(settings) as (port, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with working(server, port):
            for _ in range(3):
                writer.write(WHOLE)
                assert status_of(await answer_of(reader)) == 503
        for request in (long, WHOLE + WHOLE, WHOLE):
            writer.write(request[:30])
            await asyncio.sleep(0.05)
            writer.write(request[30:])
            for _ in range(request.count(b"POST")):
                assert status_of(await answer_of(reader)) == 200
        writer.close()


async def test_a_pipelined_request_is_admitted_or_refused_when_it_starts(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strain, "_SECONDS", 60)
    ends = {"a": asyncio.Event(), "c": asyncio.Event()}

    class Held(MicroBatcher):
        async def recommend(self, recommender: Recommender, query: Query) -> Recommendations:
            await ends[query.history[0]].wait()
            return await super().recommend(recommender, query)

    async with serving(Settings(bundle_path=bundle_path, light_requests=2)) as (port, server):
        runtime_of(server).micro_batcher = Held()
        connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        (first, pipelining), (second, other), (third, refused) = connections
        pipelining.write(WHOLE + WHOLE)
        await asyncio.sleep(0.1)
        other.write(WHOLE.replace(b'["c"]', b'["a"]'))
        await asyncio.sleep(0.1)
        refused.write(WHOLE)  # so that from now on one request is worked on at once
        assert status_of(await answer_of(third)) == 503
        ends["c"].set()
        assert status_of(await answer_of(first)) == 200
        answer = await answer_of(first)  # of the pipelined one, while the other is worked on
        assert status_of(answer) == 503
        assert b"retry-after: 1\r\n" in answer
        ends["a"].set()
        assert status_of(await answer_of(second)) == 200
        pipelining.write(WHOLE)
        assert status_of(await answer_of(first)) == 200
        for _, writer in connections:
            writer.close()


async def test_near_the_bound_only_keys_with_more_than_their_share_are_refused(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(light_shares, "_WINDOW_SECONDS", 60)
    path, new = tmp_path / "keys.json", NewKey(frozenset({Scope.READ}))
    greedy, modest = (
        b"Authorization: Bearer %b\r\n" % create_key(path, new).encode() for _ in range(2)
    )
    settings = Settings(bundle_path=bundle_path, light_requests=2, keys_file=path)
    async with serving(settings) as (port, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def status(key: bytes) -> int:
            writer.write(GET[:-2] % b"/v1/model" + key + b"\r\n")
            return status_of(await answer_of(reader))

        async with working(server, port, modest):
            assert {await status(greedy) for _ in range(20)} == {200}  # it is alone
            assert await status(modest) == 200
            assert await status(greedy) == 503
        assert await status(greedy) == 200
        writer.close()


async def test_while_a_greedy_key_is_refused_the_others_keep_the_whole_bound(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(light_shares, "_WINDOW_SECONDS", 60)
    path, new = tmp_path / "keys.json", NewKey(frozenset({Scope.READ}))
    greedy, modest = (create_key(path, new).encode() for _ in range(2))
    settings = Settings(bundle_path=bundle_path, light_requests=64, keys_file=path)
    async with serving(settings) as (_, server):
        admission = runtime_of(server).admission

        def is_accepted(key: bytes, in_progress: int) -> bool:
            headers = [(b"authorization", b"Bearer " + key)]
            return not admission.retry_after(in_progress, b"GET", b"/v1/model", headers)

        assert all(is_accepted(greedy, 32) for _ in range(20))  # it is alone
        assert is_accepted(modest, 32)
        assert not is_accepted(greedy, 32)
        assert not is_accepted(greedy, 4)  # half of an eighth of the bound
        assert is_accepted(greedy, 3)
        assert is_accepted(modest, 63)
        assert not is_accepted(modest, 64)
        assert is_accepted(modest, 63)  # the greedy key alone pays for it


async def test_while_keys_that_send_alike_are_refused_fewer_requests_are_worked_on_at_once(
    bundle_path: Path, tmp_path: Path
) -> None:
    path, new = tmp_path / "keys.json", NewKey(frozenset({Scope.READ}))
    keys = [[(b"authorization", b"Bearer " + create_key(path, new).encode())] for _ in range(2)]
    settings = Settings(bundle_path=bundle_path, light_requests=64, keys_file=path)
    async with serving(settings) as (_, server):
        admission = runtime_of(server).admission
        for headers in keys:
            assert admission.retry_after(64, b"GET", b"/v1/model", headers)
        for headers in keys:
            assert admission.retry_after(8, b"GET", b"/v1/model", headers)
            assert not admission.retry_after(7, b"GET", b"/v1/model", headers)


async def test_a_connection_that_was_refused_is_not_forgotten_when_its_body_comes(
    bundle_path: Path,
) -> None:
    settings = Settings(bundle_path=bundle_path, light_requests=1)
    async with serving(settings, timeout_keep_alive=1) as (port, server):
        async with working(server, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(POST + b"Content-Length: 18\r\n\r\n")
            assert status_of(await answer_of(reader)) == 503
            writer.write(b'{"history": ["c"]}')
            assert await asyncio.wait_for(reader.read(), 10) == b""  # the end of the idle time
        writer.close()


async def test_requests_that_wait_for_a_turn_do_not_count_as_light_work(bundle_path: Path) -> None:
    settings = Settings(bundle_path=bundle_path, light_requests=2)
    async with serving(settings) as (port, server):
        gate = runtime_of(server).admission.heavy
        turn = await gate.enter(Caller("", 60, lambda: False), 1)
        heavy = []
        for _ in range(3):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET % b"/v1/items/c/similar")
            heavy.append(writer)
        await asyncio.sleep(0.2)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET % b"/v1/model")
        assert status_of(await answer_of(reader)) == 200
        turn.end()
        for each in (*heavy, writer):
            each.close()


async def test_requests_that_wait_for_their_clients_do_not_count_as_light_work(
    bundle_path: Path,
) -> None:
    settings = Settings(bundle_path=bundle_path, light_requests=1)
    async with serving(settings) as (port, _):
        slow = []
        for _ in range(3):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(INCOMPLETE)
            slow.append(writer)
        with socket.socket() as stuck:  # reads none of its answers
            stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stuck.connect(("127.0.0.1", port))
            stuck.sendall(GET % b"/openapi.json" * 200)
            async with asyncio.timeout(60):
                while not connections_of(asyncio.get_running_loop()).waiting:
                    await asyncio.sleep(0.01)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(WHOLE)
            assert status_of(await answer_of(reader)) == 200
        for each in slow:
            each.close()
        await asyncio.sleep(0.1)
        writer.write(WHOLE)
        assert status_of(await answer_of(reader)) == 200
        writer.close()


async def test_requests_whose_bodies_come_late_at_once_are_refused_above_the_bound(
    bundle_path: Path,
) -> None:
    settings = Settings(bundle_path=bundle_path, light_requests=1)
    async with serving(settings) as (port, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(WHOLE[:-1])
        await asyncio.sleep(0.1)
        async with working(server, port):
            writer.write(WHOLE[-1:])
            assert status_of(await answer_of(reader)) == 503
        writer.write(WHOLE)
        assert status_of(await answer_of(reader)) == 200
        writer.close()


async def test_a_request_with_a_short_body_starts_when_the_body_is_complete(
    bundle_path: Path,
) -> None:
    async with serving(Settings(bundle_path=bundle_path)) as (port, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(WHOLE[:-1])
        await asyncio.sleep(0.1)
        assert not server.server_state.tasks
        writer.write(WHOLE[-1:])
        assert status_of(await answer_of(reader)) == 200
        writer.write(POST + b"Expect: 100-continue\r\nContent-Length: 18\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b'{"history": ["c"]}')
        assert status_of(await answer_of(reader)) == 200
        writer.close()


async def test_incomplete_bodies_of_heavy_requests_have_a_bound_of_bytes() -> None:
    refusals = list[str]()
    bodies = Bodies(refusals.append, max_bytes=10)
    sent = asyncio.Event()

    async def slow() -> Message:
        await sent.wait()
        return {"type": "http.request", "body": b"", "more_body": False}

    def parts(*lengths: int) -> Receive:
        messages = [{"type": "http.request", "body": b"x" * n, "more_body": True} for n in lengths]

        async def receive() -> Message:
            return messages.pop(0) if messages else await slow()

        return receive

    first = asyncio.create_task(bodies.receive(parts(3, 3)))
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError):
        await bodies.receive(parts(5))
    assert refusals == ["receiving"]
    sent.set()
    assert (await first)["body"] == b"x" * 6
    assert (await bodies.receive(parts(10)))["body"] == b"x" * 10


@pytest.mark.parametrize("part", [b"", b'{"requests": '])
async def test_a_client_that_sends_its_body_slowly_has_no_turn_meanwhile(
    bundle_path: Path, part: bytes
) -> None:
    async with serving(Settings(bundle_path=bundle_path)) as (port, _):
        _, slow = await asyncio.open_connection("127.0.0.1", port)
        head = b"POST /v1/recommendations/batch HTTP/1.1\r\nHost: s\r\n"
        slow.write(head + b"Content-Type: application/json\r\nContent-Length: 40\r\n\r\n" + part)
        await asyncio.sleep(0.1)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET % b"/v1/items/c/similar")
        assert status_of(await answer_of(reader)) == 200
        slow.close()
        writer.close()


BATCH_HEAD = POST.replace(b"recommendations", b"recommendations/batch")
COMPARE_HEAD = POST.replace(b"recommendations", b"compare")


@pytest.mark.parametrize("head", [BATCH_HEAD, COMPARE_HEAD])
async def test_after_a_refusal_of_heavy_work_the_next_is_refused_before_its_body_comes(
    bundle_path: Path, head: bytes
) -> None:
    settings = Settings(bundle_path=bundle_path, heavy_queue_units=1)
    async with serving(settings) as (port, server):
        gate = runtime_of(server).admission.heavy
        turn = await gate.enter(Caller("", 60, lambda: False), 10_000)  # takes seconds
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head + b"Content-Length: 2\r\n\r\n{}")
        assert status_of(await answer_of(reader)) == 503
        writer.write(head + b"Content-Length: 40\r\n\r\n")  # and no body
        refused = await answer_of(reader)
        assert status_of(refused) == 503
        assert b"retry-after: 5\r\n" in refused  # 10,000 units of half a millisecond
        writer.write(b"x" * 40)  # of the refused request
        writer.write(GET % b"/v1/model")
        assert status_of(await answer_of(reader)) == 200
        turn.end()
        writer.close()


async def test_while_light_requests_are_refused_fewer_of_them_are_worked_on_at_once(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strain, "_SECONDS", 0.1)
    async with serving(Settings(bundle_path=bundle_path, light_requests=16)) as (_, server):
        admission = runtime_of(server).admission

        def is_accepted(in_progress: int) -> bool:
            return not admission.retry_after(in_progress, b"GET", b"/v1/model", [])

        assert is_accepted(15)
        assert not is_accepted(16)  # the bound
        assert not is_accepted(2)  # an eighth of it
        assert is_accepted(1)
        async with asyncio.timeout(10):
            while not is_accepted(15):
                await asyncio.sleep(0.2)
