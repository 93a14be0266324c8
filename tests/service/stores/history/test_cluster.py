"""Histories in a Redis Cluster: each session is stored on one node."""

import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from redis import Redis
from redis.asyncio.cluster import NodesManager
from redis.exceptions import ConnectionError as LostError

from service.errors import HistoryUnavailableError
from service.stores.cluster_connection import SECONDS_BETWEEN_REFRESHES
from service.stores.history.cluster_store import ClusterHistoryStore
from service.stores.history.guarded import GuardedHistory
from service.stores.history.protocol import Event, Retention, Session
from service.stores.redis_client import ClusterClient, connect_redis
from tests.service.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.conftest import RedisCluster

pytestmark = pytest.mark.anyio

SESSIONS = [f"session-{number}" for number in range(30)]


@pytest.fixture
async def store(mortal_cluster: "RedisCluster") -> AsyncIterator[ClusterHistoryStore]:
    client = connect_redis(
        mortal_cluster.url, timeout_seconds=PATIENCE_SECONDS, max_connections=2, is_cluster=True
    )
    store = ClusterHistoryStore(client, Retention(10, 60, 60))
    yield store
    await store.close()


def connected(cluster: "RedisCluster") -> ClusterClient:
    client = connect_redis(
        cluster.url, timeout_seconds=PATIENCE_SECONDS, max_connections=2, is_cluster=True
    )
    assert isinstance(client, ClusterClient)
    return client


def keys_of(cluster: "RedisCluster", number: int) -> set[str]:
    with Redis.from_url(cluster.nodes[number].url, decode_responses=True) as client:
        return {key.rpartition(":")[2] for key in client.scan_iter()}


async def test_sessions_spread_over_the_nodes_and_wait_for_free_connections(
    store: ClusterHistoryStore, mortal_cluster: "RedisCluster"
) -> None:
    async with anyio.create_task_group() as tasks:
        for session_id in SESSIONS:
            tasks.start_soon(store.append, Session(session_id), Event("a"))
    kept = [keys_of(mortal_cluster, number) for number in range(3)]
    assert all(kept)
    assert sorted(each for keys in kept for each in keys) == sorted(SESSIONS)


async def test_a_client_that_is_closed_while_it_reads_the_topology_stays_closed(
    redis_cluster: "RedisCluster",
) -> None:
    client = connected(redis_cluster)
    async with anyio.create_task_group() as tasks:

        async def ping() -> None:
            with pytest.raises(LostError, match="closed"):
                await client.execute_command("PING")

        tasks.start_soon(ping)
        while client._refreshing is None:
            await anyio.sleep(0)
        await client.aclose()
    assert client._initialize  # RedisCluster's word for closed


async def test_a_lost_node_takes_only_its_own_sessions_with_it(
    store: ClusterHistoryStore, mortal_cluster: "RedisCluster"
) -> None:
    for session_id in SESSIONS:
        await store.append(Session(session_id), Event("a"))
    lost = keys_of(mortal_cluster, 1)
    mortal_cluster.nodes[1].kill()
    for session_id in SESSIONS:
        if session_id in lost:
            with pytest.raises(HistoryUnavailableError, match="the history store does not answer"):
                await store.append(Session(session_id), Event("b"))
        else:
            assert await store.append(Session(session_id), Event("b")) == ["a", "b"]
    with pytest.raises(HistoryUnavailableError):
        await store.ping()


async def test_the_sessions_of_other_nodes_are_answered_while_those_of_a_lost_node_are_not_asked(
    store: ClusterHistoryStore, mortal_cluster: "RedisCluster"
) -> None:
    guard = GuardedHistory(store, pause_seconds=60)
    for session_id in SESSIONS:
        await guard.append(Session(session_id), Event("a"))
    lost = keys_of(mortal_cluster, 1)
    mortal_cluster.nodes[1].kill()
    for session_id in [each for each in SESSIONS if each in lost] * 6:
        assert (await guard.read(Session(session_id))).degraded
    assert guard.is_lost
    for session_id in SESSIONS:
        found = await guard.append(Session(session_id), Event("b"))
        assert found.degraded == (session_id in lost)
        assert found.history == (["b"] if session_id in lost else ["a", "b"])
    assert not await guard.is_reachable()
    await guard.probe()
    assert not (await guard.read(Session(min(set(SESSIONS) - lost)))).degraded


async def test_a_lost_node_is_not_looked_for_at_each_command(
    mortal_cluster: "RedisCluster", monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connected(mortal_cluster)
    store = ClusterHistoryStore(client, Retention(10, 60, 60))
    for session_id in SESSIONS:
        await store.append(Session(session_id), Event("a"))
    looks, look = [0], NodesManager.initialize

    async def count(self: NodesManager, **options: Any) -> None:
        looks[0] += 1
        await look(self, **options)

    monkeypatch.setattr(NodesManager, "initialize", count)
    await anyio.sleep(SECONDS_BETWEEN_REFRESHES)  # since the first look
    mortal_cluster.nodes[1].kill()
    began = time.monotonic()
    for session_id in SESSIONS:
        with suppress(HistoryUnavailableError):
            await store.append(Session(session_id), Event("b"))
    assert 1 <= looks[0] <= 1 + (time.monotonic() - began) / SECONDS_BETWEEN_REFRESHES
    await store.close()


async def test_a_deadline_that_passes_does_not_end_the_search_for_the_cluster(
    mortal_cluster: "RedisCluster",
) -> None:
    client = connected(mortal_cluster)
    client._wait_seconds = 0.000_001
    store = ClusterHistoryStore(client, Retention(10, 60, 60))
    with pytest.raises(HistoryUnavailableError):
        await store.read(Session("s"))
    with anyio.fail_after(PATIENCE_SECONDS):
        while client.get_default_node() is None:
            await anyio.sleep(0.01)
    await store.close()
