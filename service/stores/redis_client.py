"""Redis clients with the policy of this service: few connections, one try, a short timeout."""

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
    """Makes a client that tries each command once, within `timeout_seconds`.

    A retry could run a command twice, and every caller can answer without Redis. For a cluster,
    `url` names any node; each command of this service touches one slot only.
    """
    options = {"max_connections": max_connections, **_options(timeout_seconds)}
    if is_cluster:
        return _Cluster.from_url(url, wait_seconds=timeout_seconds, **options)
    return Redis.from_pool(BlockingConnectionPool.from_url(url, timeout=timeout_seconds, **options))


def connect_shared(url: str, *, timeout_seconds: float) -> SharedConnection:
    """Makes a client with one connection for all requests of a worker; not for a cluster."""
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
    """A cluster client whose commands wait for a free connection, as in a blocking pool."""

    def __init__(self, *, wait_seconds: float, max_connections: int, **options: Any) -> None:
        # If a node is lost, sessions on the other nodes must still be served.
        super().__init__(max_connections=max_connections, require_full_coverage=False, **options)
        self._wait_seconds = wait_seconds
        self._free = asyncio.Semaphore(max_connections)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """See RedisCluster; a PING asks all primaries."""
        if args == ("PING",):  # sessions are lost with any primary
            options["target_nodes"] = self.PRIMARIES
        async with asyncio.timeout(self._wait_seconds):
            await self._free.acquire()
        try:
            return await super().execute_command(*args, **options)
        finally:
            self._free.release()

    async def aclose(self) -> None:
        """Closes all connections, also those that RedisCluster leaves open after a failure."""
        await super().aclose()
        for nodes in ("nodes_cache", "startup_nodes"):
            await self.nodes_manager.aclose(nodes)


@contextmanager
def redis_errors_as(kind: type[ServiceError]) -> Iterator[None]:
    """Raises errors of Redis and the network as `kind`.

    The message names the error's type only: the original text, which is the cause's, may name
    hosts, and this message is sent to clients.
    """
    try:
        yield
    except (RedisError, OSError) as error:
        raise kind(f"Redis: {type(error).__name__}") from error


class RedisCommands(Protocol):
    """Sends commands to Redis, one node or a cluster."""

    async def execute_command(self, *parts: str | int) -> Any:
        """Sends one command and returns Redis' decoded reply; raises RedisError."""
        ...

    async def aclose(self) -> None:
        """Closes all connections."""
        ...
