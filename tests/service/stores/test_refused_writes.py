"""A service whose Redis answers and refuses to write says so, and reads on."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from pydantic import SecretStr
from redis import Redis

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
        await send(client, "a")
        yield client


async def send(client: httpx.AsyncClient, item_id: str, **more: object) -> dict[str, Any]:
    body = {"item_id": item_id} | more
    answer: dict[str, Any] = (await client.post("/v1/sessions/s/events", json=body)).json()
    return answer


async def readiness(client: httpx.AsyncClient) -> dict[str, Any]:
    answer: dict[str, Any] = (await client.get("/readyz")).json()
    return answer


def fill(redis: "RedisServer") -> None:
    with Redis.from_url(redis.url) as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)


def demote(redis: "RedisServer") -> None:
    with Redis.from_url(redis.url) as client:
        client.config_set("replica-serve-stale-data", "yes")
        client.replicaof("127.0.0.1", 1)


@pytest.mark.parametrize("refuse", [fill, demote], ids=["full", "read-only"])
async def test_a_refused_event_is_told_and_histories_are_read_on(
    client: httpx.AsyncClient, mortal_redis: "RedisServer", refuse: Any
) -> None:
    refuse(mortal_redis)
    for _ in range(10):
        answer = await send(client, "c")
        assert (answer["stored"], answer["reason"]) == (False, "store_refused")
    session = (await client.get("/v1/sessions/s")).json()
    assert (session["history"], session["degraded"]) == (["a"], False)
    ready = await readiness(client)
    assert ready["degraded"]
    assert (ready["history_store"], ready["history_writes"]) == ("reachable", "failing")
    metrics = (await client.get("/metrics")).text
    assert "recommender_history_writes_failing 1.0" in metrics
    assert "recommender_history_lost 0.0" in metrics


async def test_histories_are_read_on_after_refused_erasures(
    client: httpx.AsyncClient, mortal_redis: "RedisServer"
) -> None:
    demote(mortal_redis)
    for _ in range(6):
        assert (await client.delete("/v1/sessions/s")).status_code == 503
    session = (await client.get("/v1/sessions/s")).json()
    assert (session["history"], session["degraded"]) == (["a"], False)


async def test_writes_that_work_again_are_told_without_any_event(
    client: httpx.AsyncClient, mortal_redis: "RedisServer"
) -> None:
    before = (await readiness(client))["last_write_at"]
    fill(mortal_redis)
    await send(client, "c")
    await anyio.sleep(0.2)
    assert (await readiness(client))["history_writes"] == "failing"
    with Redis.from_url(mortal_redis.url) as redis:
        redis.config_set("maxmemory", 0)
    with anyio.fail_after(PATIENCE_SECONDS):
        while (await readiness(client))["history_writes"] == "failing":
            await anyio.sleep(0.01)
    assert (await readiness(client))["last_write_at"] > before


async def test_an_event_without_consent_says_that_this_is_why_it_is_not_stored(
    client: httpx.AsyncClient,
) -> None:
    answer = await send(client, "c", consent=False)
    assert (answer["stored"], answer["reason"]) == (False, "no_consent")
    answer = await send(client, "c")
    assert (answer["stored"], answer["reason"]) == (True, None)
