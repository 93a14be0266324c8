"""Makes Redis clients for this service: with few connections, short timeouts and no retries."""

import asyncio
from collections.abc import Awaitable
from typing import Any, Protocol

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import RedisClusterException, RedisError

from service.errors import ServiceError
from service.stores.cluster_connection import SECONDS_BETWEEN_REFRESHES, ClusterConnection
from service.stores.redis_connection import SharedConnection
from service.stores.redis_pools import is_sentinel, pool_for, sentinel_pool
from service.stores.redis_replies import refuses_writes

RedisClient = Redis | RedisCluster


def connect_redis(
    url: str, *, timeout_seconds: float, max_connections: int, is_cluster: bool = False
) -> RedisClient:
    """Makes a Redis client with a connection pool; the client connects at its first command.

    The client never retries a command, because Redis could run it twice. Every caller can answer
    without Redis.

    Args:
        url: address of a Redis, of Sentinels that know it, or of any node of a cluster.
        timeout_seconds: maximum time for each of these waits: for a free connection, for
            connecting, for a reply. In a cluster, the maximum time of a whole command.
        max_connections: maximum number of connections, and so of simultaneous commands; ignored
            with Sentinel, where there is no maximum.
        is_cluster: whether `url` names a cluster.
    """
    options = {"max_connections": max_connections, **_options(timeout_seconds)}
    if is_cluster:
        return ClusterClient.from_url(url, wait_seconds=timeout_seconds, **options)
    if is_sentinel(url):
        return Redis.from_pool(sentinel_pool(url, **_options(timeout_seconds)))
    return Redis.from_pool(BlockingConnectionPool.from_url(url, timeout=timeout_seconds, **options))


def connect_shared(url: str, *, timeout_seconds: float) -> SharedConnection:
    """Makes a Redis client that sends all commands on one connection; not for a cluster.

    `timeout_seconds` is the maximum time of a command, including the time to connect.
    """
    return SharedConnection(pool_for(url, **_options(timeout_seconds)), timeout_seconds)


def connect_cluster(url: str, *, timeout_seconds: float) -> ClusterConnection:
    """Makes a client of the Redis Cluster that has a node at `url`; opens one connection per node.

    `timeout_seconds` is the maximum time of a command, including the time to connect.
    """
    return ClusterConnection(url, timeout_seconds, **_options(timeout_seconds))


def _options(timeout_seconds: float) -> dict[str, Any]:
    return {
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "decode_responses": True,
    }


class ClusterClient(RedisCluster):
    """A client of a Redis Cluster that re-reads the topology in the background.

    The topology says which node has which keys. By default, redis-py reads it again in the request
    that lost a connection, which takes milliseconds of CPU time. So one lost node would delay
    requests to the other nodes. Each command has a deadline, `wait_seconds`.
    """

    def __init__(self, *, wait_seconds: float, max_connections: int, **options: Any) -> None:
        # Without full coverage, sessions on the other nodes are still served if a node is lost.
        super().__init__(max_connections=max_connections, require_full_coverage=False, **options)
        self._wait_seconds = wait_seconds
        self._free = asyncio.Semaphore(max_connections)
        self._refreshing: asyncio.Task[LostError | None] | None = None
        self._may_refresh_at = 0.0

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Sends a command to the node that has its key; sends PING to all primary nodes.

        `args` and `options` are those of redis-py: the words of the command, and keyword arguments.

        Raises:
            RedisError: Redis refuses the command or cannot be reached.
            TimeoutError: there was no reply within `wait_seconds`, including the time to wait for a
                free connection.
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
        """Reads the topology again: in the background if an older one is known, else waits for it.

        While a topology is known, starts at most one read per `SECONDS_BETWEEN_REFRESHES`, and
        commands use the older topology.

        Raises:
            LostError: no topology is known and no node of the cluster answers.
        """
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
        """Reads the topology from any node; returns None, or an error if no node answers.

        The error is returned and not raised, because the task that runs this method may have no
        caller that awaits it.

        `has_none`: True initializes the whole client, for the first topology; False replaces the
        known topology only.
        """
        try:
            await (self.initialize() if has_none else self.nodes_manager.initialize())
        except (RedisError, RedisClusterException) as error:
            return LostError(f"no node of the cluster answers: {error}")
        except asyncio.CancelledError:  # by `aclose` alone; commands that wait get an error
            return LostError("closed")
        finally:
            self._refreshing = None
        return None

    async def aclose(self) -> None:
        """Closes all connections, including those that RedisCluster leaves open after a failure."""
        if (refreshing := self._refreshing) is not None:
            refreshing.cancel()
            await asyncio.wait([refreshing])  # it would open the client again
        await super().aclose()
        for nodes in ("nodes_cache", "startup_nodes"):
            await self.nodes_manager.aclose(nodes)


class redis_errors_as:  # noqa: N801 - a context manager is named as a function
    """Context manager that turns errors of Redis and of the network into errors of the service.

    The message is sent to clients, so it names only the type of the original error, whose text can
    contain host names. The new error keeps the original one as its cause, for the log.

    Args:
        kind: the type of error to raise.
        store: name of the store, for the message.
        refusal: the type to raise if Redis answers but refuses to write; None: `kind`.
    """

    # A class, because `contextlib.contextmanager` would take a microsecond for each command.
    __slots__ = ("_kind", "_refusal", "_store")

    def __init__(
        self, kind: type[ServiceError], store: str, refusal: type[ServiceError] | None = None
    ) -> None:
        self._kind = kind
        self._store = store
        self._refusal = refusal

    def __enter__(self) -> None:
        """Does nothing; errors are handled at the end of the block."""

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: object
    ) -> None:
        """Raises an error of the service in place of an error of Redis or of the network."""
        if not isinstance(error, RedisError | OSError):
            return
        name = type(error).__name__
        if self._refusal is not None and refuses_writes(error):
            raise self._refusal(f"{self._store} refuses to write ({name})") from error
        raise self._kind(f"{self._store} does not answer ({name})") from error


class RedisCommands(Protocol):
    """Protocol of the Redis clients: sends commands to a single Redis or to a cluster."""

    def execute_command(self, *parts: str | int) -> Awaitable[Any]:
        """Sends one command; returns what awaits Redis' reply, with strings decoded.

        `parts`: the name of the command, then its arguments.

        Raises:
            RedisError: Redis refuses the command, is too slow, or cannot be reached.
            OSError: the network fails.
        """
        ...

    async def aclose(self) -> None:
        """Closes all connections."""
        ...
