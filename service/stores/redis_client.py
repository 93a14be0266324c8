"""How this service talks to Redis: few connections, one try, a short wait."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from service.errors import ServiceError
from service.stores.redis_connection import SharedConnection

RedisClient = Redis | RedisCluster


def connect_redis(
    url: str, *, timeout_seconds: float, max_connections: int, is_cluster: bool = False
) -> RedisClient:
    """A client whose commands are tried once, each within `timeout_seconds`.

    A second try could do a thing twice, and every caller has an answer without Redis. Of a cluster
    `url` names any node; the commands of this service touch one slot each.
    """
    options = {"max_connections": max_connections, **_options(timeout_seconds)}
    if is_cluster:
        return _Cluster.from_url(url, wait_seconds=timeout_seconds, **options)
    return Redis.from_pool(BlockingConnectionPool.from_url(url, timeout=timeout_seconds, **options))


def share_redis(url: str, *, timeout_seconds: float) -> SharedConnection:
    """The same on one connection for all requests; not of a cluster."""
    return SharedConnection(url, timeout_seconds, **_options(timeout_seconds))


def _options(timeout_seconds: float) -> dict[str, Any]:
    return {
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "decode_responses": True,
    }


class _Cluster(RedisCluster):
    """A cluster whose commands wait for a free connection, as those of a blocking pool do."""

    def __init__(self, *, wait_seconds: float, max_connections: int, **options: Any) -> None:
        # A lost node takes its own sessions with it, not those of the others.
        super().__init__(max_connections=max_connections, require_full_coverage=False, **options)
        self._wait_seconds = wait_seconds
        self._free = asyncio.Semaphore(max_connections)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """See RedisCluster."""
        if args == ("PING",):  # where one primary is lost, so are its sessions
            options["target_nodes"] = self.PRIMARIES
        async with asyncio.timeout(self._wait_seconds):
            await self._free.acquire()
        try:
            return await super().execute_command(*args, **options)
        finally:
            self._free.release()

    async def aclose(self) -> None:
        """Closes all connections, those that RedisCluster leaves open after a failure too."""
        await super().aclose()
        for nodes in ("nodes_cache", "startup_nodes"):
            await self.nodes_manager.aclose(nodes)


@contextmanager
def redis_errors_as(kind: type[ServiceError]) -> Iterator[None]:
    """Raises whatever Redis or the network says as an error of `kind`.

    Its own words are the cause's: they name hosts, which an answer does not.
    """
    try:
        yield
    except (RedisError, OSError) as error:
        raise kind(f"Redis: {type(error).__name__}") from error


class RedisCommands(Protocol):
    """What can be asked of Redis, one node or a cluster; whatever fails is a RedisError."""

    async def execute_command(self, *parts: str | int) -> Any:
        """What it answers to a command."""
        ...

    async def aclose(self) -> None:
        """Lets go of connections."""
        ...
