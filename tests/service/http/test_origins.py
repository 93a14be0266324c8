"""Pages of listed origins read what the server refuses by itself, asked over raw sockets."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from service.admission import refusal_pace
from service.errors import OverloadedError
from service.http import connections, protocol
from service.http.connections import connections_of
from service.settings import Settings
from tests.service.admission.sockets import GET, WHOLE, answer_of, working
from tests.service.admission.test_held_connections import Keys
from tests.service.http.test_protocol import POST, answer_to, serving, status_of

pytestmark = pytest.mark.anyio

ORIGIN = b"Origin: https://shop.example\r\n"
OTHER = b"Origin: https://other.example\r\n"
PREFLIGHT = (
    b"OPTIONS /v1/sessions/s/events?k=3 HTTP/1.1\r\nHost: s\r\n"
    b"Access-Control-Request-Method: POST\r\n%b\r\n"
)
READABLE = {
    "access-control-allow-origin": "https://shop.example",
    "access-control-expose-headers": "Retry-After, Server-Timing, X-Request-ID",
    "vary": "Origin",
}


def of(bundle_path: Path, origins: str | None = "https://shop.example") -> Settings:
    return Settings(bundle_path=bundle_path, light_requests=1, cors_origins=origins)


def sent_by(origin: bytes, request: bytes = WHOLE) -> bytes:
    return request.replace(b"Host: s\r\n", b"Host: s\r\n" + origin)


def cors_headers(answer: bytes) -> Mapping[str, str]:
    """The headers of an answer that decide whether a page may read it."""
    lines = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    pairs = [each.split(": ", 1) for each in lines]
    return {name.lower(): value for name, value in pairs if name.lower() in READABLE}


async def test_a_page_of_a_listed_origin_can_read_a_refusal_as_it_can_read_an_answer(
    bundle_path: Path,
) -> None:
    async with serving(of(bundle_path)) as (port, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def answer(request: bytes) -> bytes:
            writer.write(request)
            return await answer_of(reader)

        async with working(server, port):
            refused, of_other, of_none = [
                await answer(sent_by(each)) for each in (ORIGIN, OTHER, b"")
            ]
        accepted = await answer(sent_by(ORIGIN, GET % b"/v1/model"))
        writer.close()
    statuses = [status_of(each) for each in (refused, of_other, of_none, accepted)]
    assert statuses == [503, 503, 503, 200]
    assert cors_headers(refused) == cors_headers(accepted) == READABLE
    assert cors_headers(of_other) == cors_headers(of_none) == {}


async def test_where_all_origins_are_listed_every_page_can_read_a_refusal(
    bundle_path: Path,
) -> None:
    async with serving(of(bundle_path, "https://shop.example, *")) as (port, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with working(server, port):
            for each in (ORIGIN, OTHER):
                writer.write(sent_by(each))
                refused = cors_headers(await answer_of(reader))
                assert refused == READABLE | {"access-control-allow-origin": "*"}
        writer.close()


async def test_a_page_can_read_a_refusal_that_comes_late_because_its_key_sends_on(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusal_pace, "_ACTIVE_SECONDS", 60)
    monkeypatch.setattr(refusal_pace, "_BURST", 0)
    monkeypatch.setattr(refusal_pace, "_PER_SECOND", 1 / 60)
    monkeypatch.setattr(refusal_pace, "_MAX_PAUSE_SECONDS", 0.05)
    keys = Keys(tmp_path / "keys.json")
    settings = of(bundle_path).model_copy(update={"keys_file": keys.path})
    async with serving(settings) as (port, server), working(server, port, keys.modest):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(keys.asking(keys.modest, b"/healthz"))  # so that the other is not alone
        assert status_of(await answer_of(reader)) == 200
        writer.close()
        refused = await answer_to(port, sent_by(ORIGIN, keys.asking_once(keys.greedy)))
    assert status_of(refused) == 503
    assert cors_headers(refused) == READABLE


async def test_a_page_can_read_the_refusal_of_a_pipelined_request(bundle_path: Path) -> None:
    async with serving(of(bundle_path)):
        answer = connections_of(asyncio.get_running_loop()).refused(OverloadedError(7))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(answer)) as client:
            response = await client.get("http://s", headers={"Origin": "https://shop.example"})
    assert (response.status_code, response.headers["retry-after"]) == (503, "7")
    assert READABLE.items() <= response.headers.items()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /%b HTTP/1.1\r\nHost: s\r\n\r\n" % (b"u" * (8 << 10)), 414),
        (b"GET / HTTP/1.1\r\nHost: s\r\nX: %b\r\n\r\n" % (b"x" * (17 << 10)), 431),
        (POST + b"Content-Length: 9\r\n\r\n{", 408),
    ],
)
async def test_a_page_can_read_that_its_request_is_too_long_or_too_late(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch, request_: bytes, status: int
) -> None:
    monkeypatch.setattr(protocol, "BODY_SECONDS", 0.1)
    async with serving(of(bundle_path)) as (port, _):
        answer = await answer_to(port, sent_by(ORIGIN, request_))
    assert status_of(answer) == status
    assert cors_headers(answer) == READABLE


async def test_a_connection_too_many_is_refused_before_it_is_known_whose_page_it_is(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(of(bundle_path)) as (port, _):
        monkeypatch.setattr(connections, "MAX_CONNECTIONS", 0)
        answer = await answer_to(port)
    assert status_of(answer) == 503
    assert cors_headers(answer) == {}


@pytest.mark.parametrize(("origins", "status"), [("https://shop.example", 200), (None, 503)])
async def test_preflight_requests_are_answered_while_others_are_refused_if_an_origin_is_listed(
    bundle_path: Path, origins: str | None, status: int
) -> None:
    async with serving(of(bundle_path, origins)) as (port, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with working(server, port):
            writer.write(PREFLIGHT % ORIGIN)
            assert status_of(await answer_of(reader)) == status
        writer.close()
