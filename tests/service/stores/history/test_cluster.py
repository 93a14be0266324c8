"""Histories in a Redis Cluster: each session is stored on one node."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import anyio
import pytest
from redis import Redis

from service.errors import HistoryUnavailableError
from service.stores.history.cluster_store import ClusterHistoryStore
from service.stores.history.protocol import Event, Retention, Session
from service.stores.redis_client import connect_redis

if TYPE_CHECKING:
    from tests.conftest import RedisCluster

pytestmark = pytest.mark.anyio

SESSIONS = [f"session-{number}" for number in range(30)]


@pytest.fixture
async def store(mortal_cluster: "RedisCluster") -> AsyncIterator[ClusterHistoryStore]:
    client = connect_redis(
        mortal_cluster.url, timeout_seconds=5, max_connections=2, is_cluster=True
    )
    store = ClusterHistoryStore(client, Retention(10, 60, 60))
    yield store
    await store.close()


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
