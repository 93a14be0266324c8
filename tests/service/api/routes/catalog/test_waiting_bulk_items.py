"""Requests with many changes of items that wait for one that makes its changes."""

import asyncio
from pathlib import Path

import httpx
import pytest

from service.admission.caller import Caller
from service.http.connections import Headers
from service.settings import Settings
from tests.service.api.routes.catalog.runtime import runtime_of
from tests.service.conftest import PATIENCE_SECONDS
from tests.service.waiting import until

pytestmark = pytest.mark.anyio

HIDDEN = {"items": [{"item_id": "d", "hidden": True}]}
NUM_PLACES = 2
LIGHT: tuple[bytes, bytes, Headers] = (b"POST", b"/v1/recommendations", [])


@pytest.fixture
def settings(bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr("service.admission.admission._MAX_BULK_REQUESTS", NUM_PLACES)
    monkeypatch.setattr("service.admission.caller.MAX_WAIT_SECONDS", PATIENCE_SECONDS)
    return Settings(bundle_path=bundle_path, items_path=tmp_path / "items.jsonl", light_requests=4)


async def hide(client: httpx.AsyncClient, wait: int = PATIENCE_SECONDS) -> httpx.Response:
    headers = {"Prefer": f"wait={wait}"}
    return await client.post("/v1/items/bulk", json=HIDDEN, headers=headers)


async def is_shown(client: httpx.AsyncClient) -> bool:
    return (await client.get("/v1/items/d")).status_code == 200


async def refusals(client: httpx.AsyncClient, reason: str) -> str:
    name = f'recommender_refusals_total{{reason="{reason}"}} '
    lines = (await client.get("/metrics")).text.splitlines()
    return next(line.removeprefix(name) for line in lines if line.startswith(name))


async def test_a_few_wait_and_leave_light_requests_their_places_and_others_are_refused(
    client: httpx.AsyncClient,
) -> None:
    runtime = runtime_of(client)
    admission, places = runtime.admission, runtime.admission.waiting_kinds["bulk"]
    async with runtime.bulk_changes.one_at_a_time:
        waiting = [asyncio.create_task(hide(client)) for _ in range(NUM_PLACES)]
        await until(lambda: places.requests == NUM_PLACES and admission.heavy.running_units == 0)
        assert admission.refusal(NUM_PLACES + 3, *LIGHT) is None
        refused = await client.post("/v1/items/bulk", content=b"not parsed")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert admission.refusal(NUM_PLACES + 4, *LIGHT)
    assert {each.status_code for each in await asyncio.gather(*waiting)} == {200}
    assert places.requests == 0
    assert await refusals(client, "bulk") == "1.0"


async def test_one_whose_time_is_over_before_its_turn_is_refused_and_changes_nothing(
    client: httpx.AsyncClient,
) -> None:
    async with runtime_of(client).bulk_changes.one_at_a_time, asyncio.timeout(PATIENCE_SECONDS):
        assert (await hide(client, wait=1)).status_code == 503
    assert await is_shown(client)
    assert await refusals(client, "deadline") == "1.0"


async def test_one_whose_client_has_left_before_its_turn_changes_nothing(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_left: list[str] = []
    caller = Caller("", PATIENCE_SECONDS, has_left=lambda: bool(has_left))
    monkeypatch.setattr("service.api.routes.catalog.bulk_items.caller_of", lambda _: caller)
    runtime = runtime_of(client)
    async with runtime.bulk_changes.one_at_a_time:
        waiting = asyncio.create_task(hide(client))
        await until(lambda: runtime.admission.waiting_kinds["bulk"].requests == 1)
        has_left.append("the client")
    assert (await waiting).status_code == 503
    assert await is_shown(client)
    assert await refusals(client, "left") == "1.0"


async def test_those_that_wait_for_a_turn_count_once_and_leave_light_requests_their_places(
    client: httpx.AsyncClient,
) -> None:
    admission = runtime_of(client).admission
    turn = await admission.heavy.enter(Caller("", PATIENCE_SECONDS, lambda: False), 1)
    waiting = [asyncio.create_task(hide(client)) for _ in range(2)]
    await until(lambda: admission.heavy.queued_units == 2)
    assert admission.refusal(1 + 2 + 3, *LIGHT) is None
    assert admission.refusal(1 + 2 + 4, *LIGHT)
    turn.end()
    assert {each.status_code for each in await asyncio.gather(*waiting)} == {200}


async def test_when_the_worker_drains_one_says_how_far_it_came_and_those_that_wait_are_refused(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.api.routes.catalog.bulk_items.IN_SLICE", 1)
    runtime = runtime_of(client)
    async with runtime.bulk_changes.one_at_a_time:
        waiting = asyncio.create_task(hide(client))
        await until(lambda: runtime.admission.waiting_kinds["bulk"].requests == 1)
        await until(lambda: runtime.admission.heavy.running_units == 0)
        runtime.drain.is_draining = True
    refused = await waiting
    assert refused.status_code == 503
    assert "draining" in refused.json()["detail"]
    changes = [{"item_id": each, "hidden": True} for each in "de"]
    answer = await client.post("/v1/items/bulk", json={"items": changes})
    assert (answer.status_code, answer.json()["processed"]) == (200, 1)
    assert not await is_shown(client)
