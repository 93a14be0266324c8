"""Keys of a cluster of three nodes, and the node that each is on at the start."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio
from redis import Redis
from redis.crc import key_slot
from redis.exceptions import RedisError

from service.stores.cluster_connection import ClusterConnection

if TYPE_CHECKING:
    from tests.conftest import RedisCluster


KEYS = [f"key-{number}" for number in range(30)]


@contextmanager
def asking(cluster: "RedisCluster", number: int) -> Iterator[Redis]:
    with Redis.from_url(cluster.nodes[number].url, decode_responses=True) as client:
        yield client


def owner(key: str) -> int:
    """Number of the node that has the key at the start."""
    return next(n for n in range(3) if key_slot(key.encode()) < (n + 1) * 16_384 // 3)


async def set_all(client: ClusterConnection, keys: list[str], value: str) -> dict[str, Any]:
    replies: dict[str, Any] = {}

    async def set_one(key: str) -> None:
        try:
            replies[key] = await client.execute_command("SET", key, value)
        except RedisError as error:
            replies[key] = error

    async with anyio.create_task_group() as tasks:
        for key in keys:
            tasks.start_soon(set_one, key)
    return replies
