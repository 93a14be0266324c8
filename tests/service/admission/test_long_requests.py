"""While light requests are refused, few requests with long bodies are worked on at once."""

import asyncio
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from service.admission import strain
from service.admission.long_requests import LongRequests, is_long
from service.settings import Settings
from tests.service.admission.sockets import GET, WHOLE, answer_of, runtime_of, working
from tests.service.http.test_protocol import POST, serving, status_of


@dataclass
class Exchange:
    """A request and its answer, as uvicorn has them."""

    scope: MutableMapping[str, Any] = field(default_factory=dict)
    body: bytes = b""
    response_complete: bool = False
    disconnected: bool = False


def test_a_request_is_long_if_its_body_has_more_than_4_kilobytes() -> None:
    assert not is_long(4096)
    assert is_long(4097)


@pytest.mark.parametrize("end", ["response_complete", "disconnected"])
def test_three_may_be_in_progress_until_one_is_answered_or_its_client_leaves(end: str) -> None:
    requests, first = LongRequests(), Exchange()
    requests.add(first)
    requests.add(Exchange())
    assert requests.admits(working=0, now=0)
    requests.add(Exchange())
    assert not requests.admits(working=0, now=0)
    setattr(first, end, True)
    assert requests.admits(working=0, now=0)


def test_a_group_begins_while_at_most_one_other_light_request_is_in_progress() -> None:
    requests = LongRequests()
    assert requests.admits(working=1, now=10)
    assert requests.admits(working=2, now=10.0003)  # joins the group
    assert not requests.admits(working=2, now=10.001)
    assert requests.admits(working=1, now=10.002)
    assert requests.admits(working=3, now=10.0022)


def test_a_group_begins_after_6_milliseconds_whatever_else_is_in_progress() -> None:
    requests = LongRequests()
    assert requests.admits(working=64, now=10)  # the first one
    assert not requests.admits(working=64, now=10.005)
    assert requests.admits(working=64, now=10.007)


@pytest.mark.anyio
async def test_while_light_requests_are_refused_three_with_long_bodies_are_worked_on_at_once(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strain, "_SECONDS", 60)
    long = POST + b"Content-Length: 5000\r\n\r\n" + b" " * 4_982 + b'{"history": ["c"]}'
    async with serving(Settings(bundle_path=bundle_path, light_requests=64)) as (port, server):
        connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
        awaiting_body, *_ = (writer for _, writer in connections)
        async with working(server, port):
            assert runtime_of(server).admission.refusal(64, b"GET", b"/v1/model", [])
            awaiting_body.write(long[:200])  # takes no place
            for _, writer in connections[1:]:
                writer.write(long)
                await asyncio.sleep(0.1)
            refused = await answer_of(connections[4][0])
            assert status_of(refused) == 503
            connections[4][1].write(WHOLE)  # a short one is accepted
            await asyncio.sleep(0.1)
        awaiting_body.write(long[200:])
        for reader, writer in connections:
            assert status_of(await answer_of(reader)) == 200
            writer.close()


@pytest.mark.anyio
async def test_long_requests_count_whatever_characters_of_their_path_are_encoded(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strain, "_SECONDS", 60)
    head = POST.replace(b"/v1/recommendations ", b"/v1/sessions/a%2Fb/events ")
    long = head + b"Content-Length: 5000\r\n\r\n" + b" " * 4_984 + b'{"item_id": "c"}'
    async with serving(Settings(bundle_path=bundle_path, light_requests=64)) as (port, server):
        admission, started = runtime_of(server).admission, list[object]()
        monkeypatch.setattr(LongRequests, "add", lambda _, exchange: started.append(exchange))
        assert admission.refusal(64, b"GET", b"/v1/model", [])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(long)
        assert status_of(await answer_of(reader)) == 200
        assert len(started) == 1
        writer.close()


@pytest.mark.anyio
async def test_long_requests_count_when_pipelined_and_when_their_clients_await_a_100(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strain, "_SECONDS", 60)
    body = b" " * 4_982 + b'{"history": ["c"]}'
    long = POST + b"Content-Length: 5000\r\n\r\n" + body
    awaiting = POST + b"Expect: 100-continue\r\nContent-Length: 5000\r\n\r\n"
    async with serving(Settings(bundle_path=bundle_path, light_requests=64)) as (port, server):
        connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
        first, second, third, fourth = connections
        async with working(server, port):
            assert runtime_of(server).admission.refusal(64, b"GET", b"/v1/model", [])
            first[1].write(awaiting)
            assert b" 100 " in await first[0].readuntil(b"\r\n\r\n")
            first[1].write(body)
            await asyncio.sleep(0.1)  # the next one may begin a group then
            second[1].write(GET % b"/v1/model" + long)
            assert status_of(await answer_of(second[0])) == 200
            await asyncio.sleep(0.1)
            third[1].write(long)
            await asyncio.sleep(0.1)
            fourth[1].write(long)
            assert status_of(await answer_of(fourth[0])) == 503
        for reader, writer in connections:
            if writer is not fourth[1]:
                assert status_of(await answer_of(reader)) == 200
            writer.close()
