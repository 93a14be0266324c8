"""A key over its limits is refused by the head of its requests, and later, if it sends on."""

import asyncio
import json
from pathlib import Path

import pytest

from service.access.key_commands import NewKey, create_key
from service.access.principal import Limits, Scope
from service.admission import refusal_pace, strain
from service.settings import Settings
from tests.service.admission.sockets import GET, answer_of, runtime_of
from tests.service.http.test_protocol import serving, status_of

pytestmark = pytest.mark.anyio


def asking(key: str, path: bytes = b"/v1/model") -> bytes:
    return GET[:-2] % path + b"Authorization: Bearer %b\r\n\r\n" % key.encode()


async def test_after_a_refusal_a_key_over_its_limit_is_refused_before_its_body_comes(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strain, "_SECONDS", 60)
    path, scopes = tmp_path / "keys.json", frozenset({Scope.READ})
    limited = create_key(path, NewKey(scopes, limits=Limits(requests_per_day=1)))
    free = create_key(path, NewKey(scopes))
    async with serving(Settings(bundle_path=bundle_path, keys_file=path)) as (port, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def answer(request: bytes) -> bytes:
            writer.write(request)
            return await answer_of(reader)

        assert status_of(await answer(asking(limited))) == 200
        late = await answer(asking(limited))
        assert status_of(late) == 429
        incomplete = asking(limited).replace(b"GET", b"POST").replace(b"model", b"recommendations")
        early = await answer(incomplete[:-2] + b"Content-Length: 18\r\n\r\n")
        assert status_of(early) == 429
        assert b"application/problem+json" in early
        # The seconds until midnight in both.
        seconds = [int(each.partition(b"retry-after: ")[2].split()[0]) for each in (late, early)]
        assert 0 <= seconds[0] - seconds[1] <= 60
        assert b"this key is over its limit: send again in" in early
        writer.write(b'{"history": ["c"]}')
        assert status_of(await answer(asking(free))) == 200
        assert status_of(await answer(asking(limited, b"/healthz"))) == 200
        assert status_of(await answer(asking(limited, b"/openapi.json"))) == 200
        assert status_of(await answer(asking("no.key"))) == 401
        metrics = (await answer(GET % b"/metrics")).decode()
        writer.close()
        assert 'recommender_refusals_total{reason="limit"} 1.0' in metrics
        assert runtime_of(server).admission.is_strained


async def test_the_metrics_count_each_429_that_the_client_has_seen(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strain, "_SECONDS", 60)
    path, scopes = tmp_path / "keys.json", frozenset({Scope.READ})
    key = create_key(path, NewKey(scopes, limits=Limits(requests_per_day=2)))
    async with serving(Settings(bundle_path=bundle_path, keys_file=path)) as (port, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        seen = []
        for number in (1, 4, 3):  # pipelined requests
            writer.write(asking(key) * number)
            seen += [status_of(await answer_of(reader)) for _ in range(number)]
        writer.write(asking(key, b"/v1/items/no%20item?x=1"))
        seen.append(status_of(await answer_of(reader)))
        writer.close()
        assert seen == [200] * 2 + [429] * 7
        samples = json.loads(await runtime_of(server).metrics.reader.samples())
    of_key = {
        each["labels"]["outcome"]: each["value"]
        for each in samples
        if each["name"] == "recommender_key_requests_total"
    }
    assert of_key == {"answered": 2, "limited": 7}
    of_routes = {
        each["labels"]["route"]: each["value"]
        for each in samples
        if each["name"] == "recommender_request_seconds_count" and each["labels"]["status"] == "429"
    }
    assert of_routes == {"/v1/model": 6, "/v1/items/{item_id}": 1}


async def test_a_key_over_its_limit_that_sends_on_is_read_later(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusal_pace, "_BURST", 3)
    monkeypatch.setattr(refusal_pace, "_PER_SECOND", 1 / 60)
    monkeypatch.setattr(refusal_pace, "_MAX_PAUSE_SECONDS", 60)
    monkeypatch.setattr(refusal_pace, "_ACTIVE_SECONDS", 60)
    monkeypatch.setattr(strain, "_SECONDS", 60)
    path, scopes = tmp_path / "keys.json", frozenset({Scope.READ})
    key = create_key(path, NewKey(scopes, limits=Limits(requests_per_day=1)))
    modest = create_key(path, NewKey(scopes))
    async with serving(Settings(bundle_path=bundle_path, keys_file=path)) as (port, _):
        (reader, writer), (other, asks) = [
            await asyncio.open_connection("127.0.0.1", port) for _ in range(2)
        ]
        # The first refusal is the application's. Of the server's own, three are the burst.
        for status in (200, 429, 429, 429, 429, 429):
            asks.write(asking(modest, b"/healthz"))
            assert status_of(await answer_of(other)) == 200
            writer.write(asking(key))
            assert status_of(await answer_of(reader)) == status
        writer.write(asking(key))
        late = asyncio.ensure_future(answer_of(reader))
        for _ in range(5):
            asks.write(asking(modest, b"/healthz"))
            assert status_of(await answer_of(other)) == 200
        assert not late.done()
        late.cancel()
        writer.close()
        asks.close()
