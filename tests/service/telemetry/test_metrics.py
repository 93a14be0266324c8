from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from service.settings import Settings

if TYPE_CHECKING:
    from tests.conftest import RedisServer
    from tests.service.conftest import Connect

pytestmark = pytest.mark.anyio

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def read(client: httpx.AsyncClient) -> Samples:
    text = (await client.get("/metrics")).text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[f"recommender_{name}", frozenset(labels.items())]


async def test_requests_are_counted_by_route_and_status_never_by_id(
    client: httpx.AsyncClient,
) -> None:
    for session_id in "stu":
        await client.post(f"/v1/sessions/{session_id}/events?k=2", json={"item_id": "c"})
    await client.get("/v1/items/zebra")
    await client.get("/nothing/here")
    samples = await read(client)
    route = {"method": "POST", "route": "/v1/sessions/{session_id}/events", "status": "200"}
    assert value(samples, "request_seconds_count", **route) == 3
    route = {"method": "GET", "route": "/v1/items/{item_id}", "status": "404"}
    assert value(samples, "request_seconds_count", **route) == 1
    route = {"method": "GET", "route": "none", "status": "404"}
    assert value(samples, "request_seconds_count", **route) == 1
    assert value(samples, "part_seconds_count", part="history") == 3
    assert value(samples, "part_seconds_count", part="infer") == 3
    answered = {"variant": "default", "source": "student", "degraded": "false"}
    assert value(samples, "answers_total", **answered) == 3


async def test_served_bundles_are_a_metric_by_variant_and_version(
    client: httpx.AsyncClient,
) -> None:
    version = (await client.get("/v1/model")).json()["model_version"]
    labels = {"variant": "default", "model_version": version, "student": "ring"}
    assert value(await read(client), "variant_info", **labels) == 1


async def test_a_lost_history_store_is_a_metric(
    bundle_path: Path, connect: "Connect", mortal_redis: "RedisServer"
) -> None:
    settings = Settings(bundle_path=bundle_path, redis_url=SecretStr(mortal_redis.url))
    async with connect(settings) as client:
        assert value(await read(client), "history_lost") == 0
        mortal_redis.kill()
        for _ in range(5):
            await client.post("/v1/sessions/s/events?k=1", json={"item_id": "c"})
        samples = await read(client)
    assert value(samples, "history_lost") == 1
    answered = {"variant": "default", "source": "student", "degraded": "true"}
    assert value(samples, "answers_total", **answered) == 5
