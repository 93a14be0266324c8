"""A service that journals what Redis does not store: answers, replay, and a disk that fails."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from redis import Redis

from service.access.principal import DEFAULT_TENANT
from service.runtime import Runtime
from service.settings import Settings
from service.stores.history.journal import REJECTED
from service.stores.history.redis_keys import keys_of
from tests.service.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.conftest import RedisServer
    from tests.service.conftest import Connect

pytestmark = pytest.mark.anyio


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
async def client(
    mortal_redis: "RedisServer", bundle_path: Path, connect: "Connect", journal: Path
) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(
        bundle_path=bundle_path,
        redis_url=SecretStr(mortal_redis.url),
        redis_pause_seconds=0.05,
        store_outage="journal",
        journal_path=journal,
    )
    async with connect(settings) as client:
        await send(client, "a")
        yield client


async def send(client: httpx.AsyncClient, item_id: str, **more: object) -> dict[str, Any]:
    body = {"item_id": item_id} | more
    answer: dict[str, Any] = (await client.post("/v1/sessions/s/events?k=2", json=body)).json()
    return answer


async def history(client: httpx.AsyncClient) -> list[str]:
    found: list[str] = (await client.get("/v1/sessions/s")).json().get("history", [])
    return found


async def wait_until_replayed(client: httpx.AsyncClient, journal: Path) -> None:
    nothing_waits = "recommender_history_journalled_events 0.0"
    with anyio.fail_after(PATIENCE_SECONDS):
        # The gauge follows the removal of the last file.
        while [*journal.glob("*/*.log")] or nothing_waits not in await metrics(client):
            await anyio.sleep(0.02)


async def metrics(client: httpx.AsyncClient) -> str:
    return (await client.get("/metrics")).text


def kill(redis: "RedisServer") -> Callable[[], None]:
    redis.kill()
    return redis.start


def fill(redis: "RedisServer") -> Callable[[], None]:
    with Redis.from_url(redis.url) as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)

    def empty() -> None:
        with Redis.from_url(redis.url) as client:
            client.config_set("maxmemory", 0)

    return empty


@pytest.mark.parametrize("fail", [kill, fill], ids=["killed", "full"])
async def test_an_event_that_redis_does_not_store_is_journalled_and_stored_later(
    client: httpx.AsyncClient,
    mortal_redis: "RedisServer",
    journal: Path,
    fail: "Callable[[RedisServer], Callable[[], None]]",
) -> None:
    end = fail(mortal_redis)
    for item_id, more in (("b", {"event_id": "e1"}), ("c", {}), ("b", {"event_id": "e1"})):
        answer = await send(client, item_id, **more)
        assert (answer["stored"], answer["reason"]) == (False, "journalled")
        assert answer["degraded"]
        assert len(answer["items"]) == 2
    assert "recommender_history_journalled_events 3.0" in (await client.get("/metrics")).text
    end()
    await wait_until_replayed(client, journal)
    kept = [] if fail is kill else ["a"]  # this Redis keeps nothing over a kill
    assert await history(client) == [*kept, "b", "c"]


async def test_an_event_that_redis_can_never_store_does_not_hold_up_the_others(
    client: httpx.AsyncClient, mortal_redis: "RedisServer", journal: Path
) -> None:
    keys = keys_of(runtime_of(client).session("broken", DEFAULT_TENANT).ref)
    with Redis.from_url(mortal_redis.url) as redis:
        redis.set(keys.events, "not a list")
    end = fill(mortal_redis)
    for session in ("s", "broken", "s"):
        await client.post(f"/v1/sessions/{session}/events", json={"item_id": "b"})
    end()
    await wait_until_replayed(client, journal)
    assert await history(client) == ["a", "b", "b"]
    (line,) = (journal / REJECTED).read_text().splitlines()
    rejected = json.loads(line)
    assert keys.events.endswith(rejected["ref"])
    assert rejected["item_id"] == "b"
    assert "WRONGTYPE" in rejected["reason"]
    assert "recommender_history_rejected_events 1.0" in await metrics(client)


def runtime_of(client: httpx.AsyncClient) -> Runtime:
    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)
    assert isinstance(transport.app, FastAPI)
    runtime: Runtime = transport.app.state.runtime
    return runtime


async def test_a_journal_that_cannot_be_written_is_told_and_recommendations_go_on(
    client: httpx.AsyncClient, mortal_redis: "RedisServer", journal: Path
) -> None:
    journal.write_text("a file in the place of the folder")
    mortal_redis.kill()
    answer = await send(client, "b")
    assert (answer["stored"], answer["reason"]) == (False, "journal_failed")
    assert len(answer["items"]) == 2


async def test_a_session_that_was_erased_meanwhile_stays_erased(
    client: httpx.AsyncClient, mortal_redis: "RedisServer", journal: Path
) -> None:
    end = fill(mortal_redis)
    assert (await send(client, "b"))["reason"] == "journalled"
    end()
    await client.delete("/v1/sessions/s")
    await wait_until_replayed(client, journal)
    assert (await client.get("/v1/sessions/s")).status_code == 404


async def test_without_consent_nothing_is_journalled(
    client: httpx.AsyncClient, mortal_redis: "RedisServer", journal: Path
) -> None:
    mortal_redis.kill()
    assert (await send(client, "b", consent=False))["reason"] == "no_consent"
    assert [*journal.glob("*/*.log")] == []


async def test_no_session_id_is_in_a_journal(
    client: httpx.AsyncClient, mortal_redis: "RedisServer", journal: Path
) -> None:
    mortal_redis.kill()
    body = {"item_id": "b"}
    await client.post("/v1/sessions/a-long-session-id/events", json=body)
    (segment,) = journal.glob("*/*.log")
    assert b"a-long-session-id" not in segment.read_bytes()
