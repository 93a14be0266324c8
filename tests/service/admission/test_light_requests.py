"""Light requests over sockets: a bound on those that are worked on at once."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn

from service.access.key_commands import NewKey, create_key
from service.access.principal import Scope
from service.admission import light_shares, strain
from service.admission.caller import Caller
from service.http.connections import Headers, connections_of
from service.ranking.micro_batcher import MicroBatcher
from service.ranking.recommender import Query, Recommendations, Recommender
from service.settings import Settings
from tests.service.admission.sockets import GET, INCOMPLETE, WHOLE, answer_of, runtime_of, working
from tests.service.conftest import PATIENCE_SECONDS
from tests.service.http.test_protocol import POST, serving, status_of
from tests.service.waiting import until

pytestmark = pytest.mark.anyio


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
    begun, ends = [], {"a": asyncio.Event(), "c": asyncio.Event()}

    class Held(MicroBatcher):
        async def recommend(self, recommender: Recommender, query: Query) -> Recommendations:
            begun.append(query.history[0])
            await ends[query.history[0]].wait()
            return await super().recommend(recommender, query)

    async with serving(Settings(bundle_path=bundle_path, light_requests=2)) as (port, server):
        runtime_of(server).micro_batcher = Held()
        connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        (first, pipelining), (second, other), (third, refused) = connections
        pipelining.write(WHOLE + WHOLE)
        await until(lambda: begun == ["c"])
        other.write(WHOLE.replace(b'["c"]', b'["a"]'))
        await until(lambda: begun == ["c", "a"])
        refused.write(WHOLE)  # so that from now on one request is worked on at once
        assert status_of(await answer_of(third)) == 503
        ends["c"].set()
        assert status_of(await answer_of(first)) == 200
        answer = await answer_of(first)  # of the pipelined one, while the other is worked on
        assert status_of(answer) == 503
        assert b"retry-after: 1\r\n" in answer
        assert b"x-content-type-options: nosniff\r\n" in answer
        assert b"cache-control: no-store\r\n" in answer
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


@asynccontextmanager
async def two_keys(
    bundle_path: Path, folder: Path
) -> AsyncIterator[tuple[uvicorn.Server, Headers, Headers]]:
    """Serves with a bound of 64 light requests; yields the server, and the headers of two keys."""
    path, new = folder / "keys.json", NewKey(frozenset({Scope.READ}))
    keys = [[(b"authorization", b"Bearer " + create_key(path, new).encode())] for _ in range(2)]
    settings = Settings(bundle_path=bundle_path, light_requests=64, keys_file=path)
    async with serving(settings) as (_, server):
        yield server, keys[0], keys[1]


async def test_while_a_greedy_key_is_refused_the_others_keep_the_whole_bound(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(light_shares, "_WINDOW_SECONDS", 60)
    async with two_keys(bundle_path, tmp_path) as (server, greedy, modest):
        admission = runtime_of(server).admission

        def is_accepted(headers: Headers, in_progress: int) -> bool:
            return not admission.refusal(in_progress, b"GET", b"/v1/model", headers)

        assert all(is_accepted(greedy, 32) for _ in range(20))  # it is alone
        assert is_accepted(modest, 32)
        assert not is_accepted(greedy, 32)
        assert not is_accepted(greedy, 5)  # half of a sixth of the bound
        assert is_accepted(greedy, 4)
        assert is_accepted(modest, 63)
        assert not is_accepted(modest, 64)
        assert is_accepted(modest, 63)  # the greedy key alone pays for it


async def test_a_request_whose_body_comes_later_counts_once_for_the_share_of_its_key(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(light_shares, "_WINDOW_SECONDS", 60)
    async with two_keys(bundle_path, tmp_path) as (server, late, prompt):
        admission = runtime_of(server).admission
        for _ in range(20):
            for headers in (late, prompt):
                assert admission.refusal(32, b"POST", b"/v1/recommendations", headers) is None
            again = admission.refusal(32, b"POST", b"/v1/recommendations", late, is_late=True)
            assert again is None


@pytest.mark.parametrize("target", [b"/healthz#top", b"http://127.0.0.1/healthz?x=1"])
async def test_a_route_without_a_bound_is_found_in_every_form_of_a_target(
    bundle_path: Path, target: bytes
) -> None:
    settings = Settings(bundle_path=bundle_path, light_requests=1)
    async with serving(settings) as (port, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with working(server, port):
            writer.write(GET % b"/v1/model")
            assert status_of(await answer_of(reader)) == 503
            writer.write(GET % target)
            assert status_of(await answer_of(reader)) == 200
        writer.close()


async def test_a_key_with_less_than_its_share_is_not_slowed_down_for_refusals_of_a_full_worker(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(light_shares, "_WINDOW_SECONDS", 60)
    async with two_keys(bundle_path, tmp_path) as (server, greedy, modest):
        admission = runtime_of(server).admission

        def seconds_of_pause(headers: Headers) -> float:
            assert admission.refusal(64, b"GET", b"/v1/model", headers) is not None
            return admission.pause_seconds(server, headers, headers)

        assert seconds_of_pause(modest) == 0
        for _ in range(2):  # 100 of the modest key, 200 of the greedy one
            pauses = [
                (seconds_of_pause(greedy), seconds_of_pause(modest), seconds_of_pause(greedy))
                for _ in range(50)
            ]
        assert {modest for _, modest, _ in pauses} == {0.0}
        assert all(greedy > 0 for greedy, _, _ in pauses[10:])


async def test_while_keys_that_send_alike_are_refused_fewer_requests_are_worked_on_at_once(
    bundle_path: Path, tmp_path: Path
) -> None:
    async with two_keys(bundle_path, tmp_path) as (server, *keys):
        admission = runtime_of(server).admission
        for headers in keys:
            assert admission.refusal(64, b"GET", b"/v1/model", headers)
        for headers in keys:
            assert admission.refusal(10, b"GET", b"/v1/model", headers)
            assert not admission.refusal(9, b"GET", b"/v1/model", headers)


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
            assert (
                await asyncio.wait_for(reader.read(), PATIENCE_SECONDS) == b""
            )  # the end of the idle time
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
        await until(lambda: gate.in_progress == 4)
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
            async with asyncio.timeout(PATIENCE_SECONDS):
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


async def test_while_light_requests_are_refused_fewer_of_them_are_worked_on_at_once(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strain, "_SECONDS", 0.1)
    async with serving(Settings(bundle_path=bundle_path, light_requests=16)) as (_, server):
        admission = runtime_of(server).admission

        def is_accepted(in_progress: int) -> bool:
            return not admission.refusal(in_progress, b"GET", b"/v1/model", [])

        assert is_accepted(15)
        assert not is_accepted(16)  # the bound
        assert not is_accepted(2)  # a sixth of it
        assert is_accepted(1)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not is_accepted(15):
                await asyncio.sleep(0.2)
