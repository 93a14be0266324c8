"""The service admits requests by their cost: over its application, and over sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from fastapi import FastAPI

from service.admission import strain
from service.admission.admission import Admission
from service.admission.bounds import Bodies
from service.admission.caller import Caller
from service.admission.gate import Turn
from service.api import requests
from service.settings import Settings
from tests.service.admission.sockets import GET, WHOLE, answer_of, runtime_of
from tests.service.conftest import PATIENCE_SECONDS
from tests.service.http.test_protocol import POST, serving, status_of
from tests.service.waiting import until

if TYPE_CHECKING:
    from tests.service.conftest import Connect

pytestmark = pytest.mark.anyio
HISTORY = {"history": ["c"], "k": 3}
BATCH = {"requests": [HISTORY]}
JSON = {"Content-Type": "application/json"}
ONE_SECOND = {"Prefer": "wait=1"}
EXCLUDED = [f"x{number}" for number in range(256)]
PATIENT = Caller("", PATIENCE_SECONDS, lambda: False)
LONG_BODY = {"history": ["c"], "exclude": ["x" * 200] * 200}


def admission_of(client: httpx.AsyncClient) -> Admission:
    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)
    app = transport.app
    assert isinstance(app, FastAPI)
    admission: Admission = app.state.runtime.admission
    return admission


@asynccontextmanager
async def busy(client: httpx.AsyncClient, units: int = 1) -> AsyncIterator[None]:
    """A request has the only turn of heavy work while the context is open."""
    turn = await admission_of(client).heavy.enter(PATIENT, units)
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


@pytest.mark.parametrize(
    ("kind", "query", "status"),
    [
        ("pruned", {"exclude": EXCLUDED}, 200),
        ("approximate", {"exclude": EXCLUDED[:-4]}, 200),
        ("approximate", {"exclude": EXCLUDED[:-3]}, 503),
        ("approximate", {"exclude": EXCLUDED[:-3], "mask_seen": False}, 200),
        ("approximate", {"exclude": EXCLUDED[:-4], "history": ["c", "d"]}, 503),
        ("approximate", {"exclude": ["x"] * 1_000}, 200),
        ("pruned", {"allow": {"letter": ["a"]}}, 200),
        ("approximate", {"allow": {"letter": ["a"]}}, 503),
        ("approximate", {"deny": {"letter": ["a"]}}, 503),
    ],
)
async def test_a_query_is_heavy_where_an_approximate_search_may_have_to_score_all_items(
    save_bundle_with: Callable[..., Path],
    connect: "Connect",
    kind: str,
    query: dict[str, object],
    status: int,
) -> None:
    path = save_bundle_with(scorer={"kind": kind})
    async with connect(Settings(bundle_path=path)) as client, busy(client):
        body = HISTORY | query
        answer = await client.post("/v1/recommendations", json=body, headers=ONE_SECOND)
    assert answer.status_code == status


async def test_hidden_items_leave_an_approximate_search_fewer_items_to_choose_from(
    save_bundle_with: Callable[..., Path], connect: "Connect", tmp_path: Path
) -> None:
    path = save_bundle_with(scorer={"kind": "approximate"})
    settings = Settings(bundle_path=path, items_path=tmp_path / "items.jsonl")
    async with connect(settings) as client, busy(client):
        body = HISTORY | {"exclude": EXCLUDED[:200]}  # 3 items and 201 closed ones of 256

        async def status() -> int:
            return (
                await client.post("/v1/recommendations", json=body, headers=ONE_SECOND)
            ).status_code

        assert await status() == 200
        for item_id in ("g", "h"):
            await client.patch(f"/v1/items/{item_id}", json={"hidden": True})
        assert await status() == 503  # of 192: two of eight items are hidden


@pytest.mark.parametrize(("kind", "status"), [("pruned", 200), ("approximate", 503)])
async def test_recommending_after_an_event_needs_a_turn_if_it_may_have_to_score_all_items(
    save_bundle_with: Callable[..., Path],
    connect: "Connect",
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    status: int,
) -> None:
    monkeypatch.setattr(requests, "NUM_TRUSTED", 4)
    path = save_bundle_with(scorer={"kind": kind})
    async with connect(Settings(bundle_path=path)) as client, busy(client):

        async def answer_to(item_id: str) -> int:
            url, body = "/v1/sessions/ann/events?k=3", {"item_id": item_id}
            return (await client.post(url, json=body, headers=ONE_SECOND)).status_code

        assert await answer_to("c") == 200  # one seen item and three to recommend
        assert await answer_to("d") == status


async def test_an_event_is_not_stored_if_the_turn_to_recommend_after_it_would_come_too_late(
    save_bundle_with: Callable[..., Path], connect: "Connect"
) -> None:
    path = save_bundle_with(scorer={"kind": "approximate"})
    async with connect(Settings(bundle_path=path)) as client, busy(client, units=10_000):
        url, body = "/v1/sessions/ann/events", {"item_id": "c"}
        late = await client.post(f"{url}?k=3", json=body, headers={"Prefer": "wait=2"})
        assert late.status_code == 503
        assert (await client.get("/v1/sessions/ann")).status_code == 404
        assert (await client.post(url, json=body)).status_code == 200


async def test_a_batch_is_charged_for_what_its_queries_cost_beyond_plain_ones(
    save_bundle_with: Callable[..., Path], connect: "Connect", monkeypatch: pytest.MonkeyPatch
) -> None:
    charged: list[int] = []
    monkeypatch.setattr(Turn, "charge", lambda _, units: charged.append(units))
    path = save_bundle_with(scorer={"kind": "approximate"})
    filtered = HISTORY | {"allow": {"letter": ["a"]}}
    async with connect(Settings(bundle_path=path)) as client:
        body = {"requests": [filtered, HISTORY, filtered]}
        assert (await client.post("/v1/recommendations/batch", json=body)).status_code == 200
    assert charged == [2]  # to score eight items is a unit


async def test_similar_items_are_charged_for_their_rules(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    charged: list[int] = []
    monkeypatch.setattr(Turn, "charge", lambda _, units: charged.append(units))
    for body in ({"k": 20, "diversity": 0.3}, {"k": 20}):
        assert (await client.post("/v1/items/c/similar", json=body)).status_code == 200
    assert charged == [2, 0]  # diversity chooses among 200 items, and 100 are a unit


async def test_a_heavy_request_that_finds_the_queue_full_is_refused_before_its_time_is_over(
    bundle_path: Path, connect: "Connect"
) -> None:
    settings = Settings(bundle_path=bundle_path, heavy_queue_units=1)
    path = "/v1/recommendations/batch"
    async with connect(settings) as client:
        async with busy(client):
            late = await client.post(path, json=BATCH, headers=ONE_SECOND)
            waiting = asyncio.create_task(client.post(path, json=BATCH))
            await until(lambda: admission_of(client).heavy.queued_units == 1)
            async with asyncio.timeout(PATIENCE_SECONDS / 2):  # half of the time that it has
                refused = await client.post(path, json=BATCH)
            metrics = (await client.get("/metrics")).text
        assert (late.status_code, refused.status_code) == (503, 503)
        assert (await waiting).status_code == 200
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


async def in_parts(*bodies: bytes) -> AsyncIterator[bytes]:
    for each in bodies:
        yield each


async def test_the_bodies_of_others_do_not_hold_up_a_change_of_an_item(
    bundle_path: Path, tmp_path: Path, connect: "Connect"
) -> None:
    settings = Settings(bundle_path=bundle_path, items_path=tmp_path / "items.jsonl")
    async with connect(settings) as client:
        admission_of(client).bodies = Bodies(lambda _: None, max_bytes=0)
        batch = await client.post("/v1/recommendations/batch", content=in_parts(b"{", b"}"))
        hidden = in_parts(b'{"hidden": ', b"true}")
        change = await client.patch("/v1/items/c", content=hidden, headers=JSON)
    assert (batch.status_code, change.status_code) == (503, 200)


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


FOR_TWO_SECONDS = POST + b"Prefer: wait=2\r\n"
BATCH_HEAD = FOR_TWO_SECONDS.replace(b"recommendations", b"recommendations/batch")
COMPARE_HEAD = FOR_TWO_SECONDS.replace(b"recommendations", b"compare")


@pytest.mark.parametrize("head", [BATCH_HEAD, COMPARE_HEAD])
async def test_after_a_refusal_of_heavy_work_the_next_is_refused_before_its_body_comes(
    bundle_path: Path, head: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strain, "_SECONDS", PATIENCE_SECONDS)
    settings = Settings(bundle_path=bundle_path, heavy_queue_units=1)
    async with serving(settings) as (port, server):
        gate = runtime_of(server).admission.heavy
        turn = await gate.enter(PATIENT, 10_000)  # takes seconds
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


async def test_after_a_refusal_of_heavy_work_an_explanation_is_refused_before_its_body_is_parsed(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strain, "_SECONDS", PATIENCE_SECONDS)
    settings = Settings(bundle_path=bundle_path, heavy_queue_units=1)
    no_history = b'{"session_id": null, "explain" : true}'  # 422, once it is parsed
    explanation = FOR_TWO_SECONDS + b"Content-Length: %d\r\n\r\n" % len(no_history) + no_history
    async with serving(settings) as (port, server):
        gate = runtime_of(server).admission.heavy
        turn = await gate.enter(PATIENT, 10_000)  # takes seconds
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(explanation)
        assert status_of(await answer_of(reader)) == 422
        writer.write(BATCH_HEAD + b"Content-Length: 2\r\n\r\n{}")
        assert status_of(await answer_of(reader)) == 503
        writer.write(explanation)
        refused = await answer_of(reader)
        assert status_of(refused) == 503
        assert b"retry-after: 5\r\n" in refused
        writer.write(WHOLE)  # without an explanation
        assert status_of(await answer_of(reader)) == 200
        turn.end()
        writer.close()
