"""The service on a Redis Cluster."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from service.settings import Settings
from tests.service.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.conftest import RedisCluster
    from tests.service.conftest import Connect

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(bundle_path: Path, redis_cluster: "RedisCluster") -> Settings:
    chosen = {"bundle_path": bundle_path, "redis_url": redis_cluster.url, "redis_cluster": True}
    return Settings.model_validate(chosen | {"redis_timeout_seconds": PATIENCE_SECONDS})


async def test_sessions_and_added_items_are_shared_and_outlive_a_restart(
    settings: Settings, connect: "Connect"
) -> None:
    new = {"item_id": "n", "title": "New", "embedding": [0, 0, 0, 2, 0, 0, 0, 0]}
    async with connect(settings) as one, connect(settings) as other:
        for number in range(20):
            path = f"/v1/sessions/{number}/events"
            assert (await one.post(path, json={"item_id": "c"})).json()["stored"]
            assert (await other.get(f"/v1/sessions/{number}")).json()["history"] == ["c"]
        assert (await one.get("/readyz")).json()["history_store"] == "reachable"
        await one.post("/v1/items", json=new)
        with anyio.fail_after(PATIENCE_SECONDS):
            while (await other.get("/v1/items/n")).status_code == 404:
                await anyio.sleep(0.01)
    async with connect(settings) as client:
        answer = (await client.get("/v1/sessions/7/recommendations?k=1")).json()
    assert answer["items"] == [{"item_id": "n", "title": "New", "score": 16}]


async def test_a_service_on_a_cluster_that_lost_a_node_answers_every_session(
    settings: Settings, mortal_cluster: "RedisCluster", connect: "Connect"
) -> None:
    chosen = {"redis_url": mortal_cluster.url, "redis_pause_seconds": 0.05}
    async with connect(Settings.model_validate(settings.model_dump() | chosen)) as client:
        mortal_cluster.nodes[2].kill()
        answers: list[dict[str, Any]] = []
        with anyio.fail_after(
            PATIENCE_SECONDS
        ):  # on a busy machine, living nodes are late at first
            while {answer["degraded"] for answer in answers} != {True, False}:
                for number in range(20):
                    path = f"/v1/sessions/{number}/events?k=2"
                    answers.append((await client.post(path, json={"item_id": "c"})).json())
    assert {"".join(each["item_id"] for each in answer["items"]) for answer in answers} == {"de"}
