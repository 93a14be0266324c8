"""A service whose Redis is lost answers, and marks its answers as degraded."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from pydantic import SecretStr

from service.settings import Settings
from tests.service.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.conftest import RedisServer
    from tests.service.conftest import Connect

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(
    mortal_redis: "RedisServer", bundle_path: Path, connect: "Connect"
) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(
        bundle_path=bundle_path,
        redis_url=SecretStr(mortal_redis.url),
        redis_pause_seconds=0.05,
    )
    async with connect(settings) as client:
        await client.post("/v1/sessions/s/events", json={"item_id": "a"})
        yield client


def summary(answer: dict[str, Any]) -> tuple[str, str, bool]:
    ids = "".join(item["item_id"] for item in answer["items"])
    return ids, answer["source"], answer["degraded"]


async def test_an_event_is_answered_from_its_own_item(
    client: httpx.AsyncClient, mortal_redis: "RedisServer"
) -> None:
    mortal_redis.kill()
    answer = (await client.post("/v1/sessions/s/events?k=2", json={"item_id": "c"})).json()
    assert summary(answer) == ("de", "student", True)
    assert (answer["stored"], answer["reason"]) == (False, "store_unavailable")


async def test_a_request_is_answered_from_its_own_history(
    client: httpx.AsyncClient, mortal_redis: "RedisServer"
) -> None:
    mortal_redis.kill()
    body = {"session_id": "s", "history": ["c"], "k": 2}
    answer = (await client.post("/v1/recommendations", json=body)).json()
    assert summary(answer) == ("de", "student", True)


async def test_a_session_is_answered_with_popular_items(
    client: httpx.AsyncClient, mortal_redis: "RedisServer"
) -> None:
    mortal_redis.kill()
    answer = (await client.get("/v1/sessions/s/recommendations?k=2")).json()
    assert summary(answer) == ("hg", "popular", True)


async def test_a_session_is_not_reported_as_unknown_or_deleted(
    client: httpx.AsyncClient, mortal_redis: "RedisServer"
) -> None:
    mortal_redis.kill()
    assert (await client.get("/v1/sessions/s")).json()["degraded"] is True
    response = await client.delete("/v1/sessions/s")
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")


async def test_the_service_stays_ready_and_reports_the_loss(
    client: httpx.AsyncClient, mortal_redis: "RedisServer"
) -> None:
    mortal_redis.kill()
    response = await client.get("/readyz")
    assert response.status_code == 200
    assert (response.json()["degraded"], response.json()["history_store"]) == (True, "lost")


async def test_histories_are_stored_again_once_redis_is_back(
    client: httpx.AsyncClient, mortal_redis: "RedisServer"
) -> None:
    mortal_redis.kill()
    for _ in range(10):
        answer = (await client.post("/v1/sessions/s/events?k=1", json={"item_id": "c"})).json()
        assert answer["degraded"]
    mortal_redis.start()
    with anyio.fail_after(PATIENCE_SECONDS):
        while (await client.get("/v1/sessions/s/recommendations?k=1")).json()["degraded"]:
            await anyio.sleep(0.01)
    answer = (await client.post("/v1/sessions/s/events?k=1", json={"item_id": "e"})).json()
    assert (answer["stored"], answer["degraded"]) == (True, False)
    assert (await client.get("/v1/sessions/s")).json()["history"] == ["e"]


async def test_the_service_starts_without_redis(
    mortal_redis: "RedisServer", bundle_path: Path, connect: "Connect"
) -> None:
    mortal_redis.kill()
    settings = Settings(bundle_path=bundle_path, redis_url=SecretStr(mortal_redis.url))
    async with connect(settings) as client:
        assert (await client.get("/readyz")).status_code == 200


async def test_a_redis_that_accepts_and_never_answers_costs_a_timeout(
    bundle_path: Path, connect: "Connect", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.bundles.opened_items._ANSWER_SECONDS", 0.1)  # not asked for here
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = Settings(
            bundle_path=bundle_path,
            redis_url=SecretStr(f"redis://127.0.0.1:{silent.getsockname()[1]}"),
            redis_timeout_seconds=0.02,
        )
        async with connect(settings) as client:
            with anyio.fail_after(PATIENCE_SECONDS):
                answer = await client.post("/v1/sessions/s/events?k=2", json={"item_id": "c"})
        assert summary(answer.json()) == ("de", "student", True)


async def test_a_redis_that_never_answers_delays_the_start_by_a_second_at_most(
    bundle_path: Path,
    connect: "Connect",
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("service.bundles.opened_items._ANSWER_SECONDS", 1.0)
    monkeypatch.setattr("service.stores.opening._BACKGROUND_TIMEOUT_SECONDS", 10 * PATIENCE_SECONDS)
    with socket.create_server(("127.0.0.1", 0)) as silent, anyio.fail_after(PATIENCE_SECONDS):
        url = SecretStr(f"redis://127.0.0.1:{silent.getsockname()[1]}")
        async with connect(Settings(bundle_path=bundle_path, redis_url=url)):
            assert "their store did not answer within 1 s" in caplog.text
