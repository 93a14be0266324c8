"""The service on a Redis Cluster."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from redis.crc import key_slot

from service.settings import Settings
from service.stores.history.protocol import Event, Session
from service.stores.history.redis_keys import keys_of
from service.stores.opening import open_history
from service.stores.redis_connection import SharedConnection
from tests.conftest import NUM_SLOTS
from tests.service.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.conftest import RedisCluster
    from tests.service.conftest import Connect

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(bundle_path: Path, redis_cluster: "RedisCluster") -> Settings:
    chosen = {"bundle_path": bundle_path, "redis_url": redis_cluster.url, "redis_cluster": True}
    return Settings.model_validate(chosen)


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


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str | int]:
    """The names of the commands that the shared connections have sent."""
    names, send = list[str | int](), SharedConnection.execute_command

    async def note(self: SharedConnection, *parts: str | int) -> Any:
        names.append(parts[0])
        return await send(self, *parts)

    monkeypatch.setattr(SharedConnection, "execute_command", note)
    return names


def slot_of(session: Session) -> int:
    return key_slot(keys_of(session.ref).events.encode())


async def test_many_probes_of_readiness_at_once_cost_one_command_for_each_node(
    settings: Settings, connect: "Connect", sent: list[str | int]
) -> None:
    async with connect(settings) as client:
        await client.post("/v1/sessions/s/events", json={"item_id": "c"})  # reads the slots
        sent.clear()
        async with anyio.create_task_group() as tasks:

            async def probe() -> None:
                assert (await client.get("/readyz")).json()["history_store"] == "reachable"

            for _ in range(20):
                tasks.start_soon(probe)
    assert sent in (["EXISTS"] * 3, ["EXISTS"] * 6)  # a probe that comes late is in a second round


async def test_a_lost_node_is_found_by_its_ping_and_takes_its_own_parts_with_it(
    settings: Settings, mortal_cluster: "RedisCluster", sent: list[str | int]
) -> None:
    chosen = {"redis_url": mortal_cluster.url}
    guard = open_history(Settings.model_validate(settings.model_dump() | chosen), None, print)
    sessions = [Session(format(number, "04x")) for number in range(20)]
    for each in sessions:
        await guard.append(each, Event("c"))
    mortal_cluster.nodes[2].kill()
    for _ in range(5):  # failures in a row, after which parts are not asked
        assert not await guard.is_reachable()
    sent.clear()
    are_lost = [slot_of(each) >= 2 * NUM_SLOTS // 3 for each in sessions]
    assert [(await guard.read(each)).degraded for each in sessions] == are_lost
    assert sent.count("LRANGE") == are_lost.count(False)
    mortal_cluster.nodes[2].start()
    with anyio.fail_after(PATIENCE_SECONDS):
        while guard.is_lost:
            await guard.is_reachable()
    assert not any([(await guard.read(each)).degraded for each in sessions])
    await guard.close()


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
