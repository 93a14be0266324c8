"""Redis clients with the policy of this service: few connections, no retry, a short timeout."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import RedisClusterException, RedisError

from service.errors import ServiceError
from service.stores.redis_connection import SharedConnection
from service.stores.redis_pools import is_sentinel, sentinel_pool
from service.stores.redis_replies import refuses_writes

RedisClient = Redis | RedisCluster

SECONDS_BETWEEN_REFRESHES = 0.5
"""Minimum time between two reads of the topology of a cluster with a lost node."""


def connect_redis(
    url: str, *, timeout_seconds: float, max_connections: int, is_cluster: bool = False
) -> RedisClient:
    """Makes a client with a connection pool that sends each command once, without retry.

    A retry could run a command twice, and every caller can answer without Redis.

    Args:
        url: the Redis, Sentinels that know it, or any node of the cluster.
        timeout_seconds: maximum time to wait for a free connection, for connecting and for a reply.
        max_connections: maximum number of connections, and so of commands at once; with Sentinel,
            there is no maximum.
        is_cluster: whether `url` names a cluster. Each command of this service touches one hash
            slot only, as a cluster requires.
    """
    options = {"max_connections": max_connections, **_options(timeout_seconds)}
    if is_cluster:
        return ClusterClient.from_url(url, wait_seconds=timeout_seconds, **options)
    if is_sentinel(url):
        return Redis.from_pool(sentinel_pool(url, **_options(timeout_seconds)))
    return Redis.from_pool(BlockingConnectionPool.from_url(url, timeout=timeout_seconds, **options))


def connect_shared(url: str, *, timeout_seconds: float) -> SharedConnection:
    """Makes a client that sends the commands of all requests on one connection; not for a cluster.

    `timeout_seconds`: maximum time to wait for connecting, and for a reply.
    """
    return SharedConnection(url, timeout_seconds, **_options(timeout_seconds))


def _options(timeout_seconds: float) -> dict[str, Any]:
    return {
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "decode_responses": True,
    }


class ClusterClient(RedisCluster):
    """A cluster client with a deadline for each command; reads the topology in the background.

    redis-py reads the topology again after each lost connection, in the request that lost it. That
    takes milliseconds of CPU, and would delay the sessions of the other nodes while one is down.
    """

    def __init__(self, *, wait_seconds: float, max_connections: int, **options: Any) -> None:
        # Without full coverage, sessions on the other nodes are still served if a node is lost.
        super().__init__(max_connections=max_connections, require_full_coverage=False, **options)
        self._wait_seconds = wait_seconds
        self._free = asyncio.Semaphore(max_connections)
        self._refreshing: asyncio.Task[LostError | None] | None = None
        self._may_refresh_at = 0.0

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Sends a command to the node of its key; sends PING to all primary nodes.

        Raises:
            RedisError: Redis refuses the command or cannot be reached.
            TimeoutError: no connection was free, or there was no reply, within `wait_seconds`.
        """
        if args == ("PING",):  # the store counts as reachable only if no primary is lost
            options["target_nodes"] = self.PRIMARIES
        async with asyncio.timeout(self._wait_seconds):
            if self._initialize:
                await self._refresh()
            async with self._free:
                try:
                    return await super().execute_command(*args, **options)
                except (RedisClusterException, AttributeError, RuntimeError) as error:
                    # redis-py raises these, not a RedisError, if a node is lost: it closes all
                    # connections to it, even one on which another command is about to be written.
                    raise LostError(f"lost a node of the cluster: {error}") from error

    async def _refresh(self) -> None:
        """Reads the topology in the background; waits for it only if there is none yet."""
        loop = asyncio.get_running_loop()
        has_none = self.get_default_node() is None
        if self._refreshing is None and (has_none or loop.time() >= self._may_refresh_at):
            self._may_refresh_at = loop.time() + SECONDS_BETWEEN_REFRESHES
            self._refreshing = loop.create_task(self._read_topology(has_none=has_none))
        # Shielded: a command's deadline must not cancel it, or a slow cluster is never read.
        if has_none and self._refreshing and (error := await asyncio.shield(self._refreshing)):
            raise error
        self._initialize = False

    async def _read_topology(self, *, has_none: bool) -> LostError | None:
        """Reads the topology; returns an error, not raises it: perhaps no command waits for it."""
        try:
            await (self.initialize() if has_none else self.nodes_manager.initialize())
        except (RedisError, RedisClusterException) as error:
            return LostError(f"no node of the cluster answers: {error}")
        finally:
            self._refreshing = None
        return None

    async def aclose(self) -> None:
        """Closes all connections, also those that RedisCluster leaves open after a failure."""
        await super().aclose()
        for nodes in ("nodes_cache", "startup_nodes"):
            await self.nodes_manager.aclose(nodes)


@contextmanager
def redis_errors_as(
    kind: type[ServiceError], store: str, refusal: type[ServiceError] | None = None
) -> Iterator[None]:
    """Raises errors of Redis and of the network as `kind`, with `store` in the message.

    `refusal`: the type to raise if Redis answers but refuses to write; None: `kind`.

    The message is sent to clients, so it has only the type of the original error. That error is the
    cause: its text may name hosts and is for the log.
    """
    try:
        yield
    except (RedisError, OSError) as error:
        if refusal is not None and refuses_writes(error):
            raise refusal(f"{store} refuses to write ({type(error).__name__})") from error
        raise kind(f"{store} does not answer ({type(error).__name__})") from error


class RedisCommands(Protocol):
    """Sends commands to Redis, a single node or a cluster."""

    async def execute_command(self, *parts: str | int) -> Any:
        """Sends one command and returns Redis' reply, with strings decoded.

        Raises:
            RedisError: Redis refuses the command, is too slow, or cannot be reached.
            OSError: the network fails.
        """
        ...

    async def aclose(self) -> None:
        """Closes all connections."""
        ...
