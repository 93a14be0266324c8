"""A client of a Redis Cluster with one shared connection per node.

The client knows which node has each of the 16,384 hash slots, and sends each command to the node
of its key. All commands of one event-loop turn to one node are sent in one write. A node that has
moved a slot answers with the address of the new node, and the command is sent there. After such an
answer, or if a node is lost, the client reads the slots again in the background.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError, ResponseError
from redis.exceptions import ConnectionError as LostError

from service.stores.redis_connection import SharedConnection, deadline
from service.stores.redis_pools import address_of, pool_of_node

_NUM_SLOTS = 16_384
_MAX_REDIRECTIONS = 5
_SCRIPTS = ("EVALSHA", "EVAL")
SECONDS_BETWEEN_REFRESHES = 0.5
"""Minimum time in seconds between two reads of the slots."""

Address = tuple[str, int]
"""Host and port of a node."""


class ClusterConnection:
    """Sends each command to the node of its key; connects at the first command.

    All keys of a command must lie in one slot. Commands that a node has accepted are not repeated.
    """

    def __init__(self, url: str, timeout_seconds: float, **options: Any) -> None:
        """Makes a client that is not connected yet.

        Args:
            url: address of any node of the cluster.
            timeout_seconds: maximum time of a command at one node, and of all its redirections.
            options: keyword arguments for redis-py's connections.
        """
        self._url = url
        self._timeout_seconds = timeout_seconds
        self._options = options
        self._nodes: dict[Address, SharedConnection] = {}
        self._node_of_slot: list[SharedConnection | None] = []
        self._first = self._new_node(address_of(url))
        self._refreshing: asyncio.Task[None] | None = None
        self._may_refresh_at = 0.0
        self._closing: set[asyncio.Task[None]] = set()

    async def execute_command(self, *parts: str | int) -> Any:
        """Sends one command and returns Redis' reply, with strings decoded.

        PING is sent to all primaries, so that one lost primary makes it fail.

        Raises:
            RedisError: a node refuses the command, is too slow, or cannot be reached.
        """
        if not self._node_of_slot:
            await self._read_first_slots()
        if parts[0] == "PING":
            return await self._ping()
        key = str(parts[3] if parts[0] in _SCRIPTS else parts[1])
        node = self._node_of_slot[key_slot(key.encode())]
        try:
            if node is None:
                raise LostError(f"no node of the cluster serves the slot of {parts[0]}")
            return await node.execute_command(*parts)
        except AskError as error:  # MovedError, too
            return await self._redirected(error, parts)
        except ResponseError as error:
            if isinstance(error, ClusterDownError):
                self._refresh()
            raise
        except RedisError:
            self._refresh()
            raise

    async def aclose(self) -> None:
        """Closes all connections; commands that still wait for a reply fail with a LostError."""
        if (refreshing := self._refreshing) is not None:
            refreshing.cancel()
            await asyncio.wait([refreshing])  # it opens no more connections
        for task in self._closing:
            task.cancel()
        closing = [each.aclose() for each in (self._first, *self._nodes.values())]
        await asyncio.gather(*closing, *self._closing, return_exceptions=True)

    async def _ping(self) -> Any:
        primaries = dict.fromkeys(filter(None, self._node_of_slot))
        try:
            replies = await asyncio.gather(*(each.execute_command("PING") for each in primaries))
        except RedisError:
            self._refresh()
            raise
        return replies[0]

    async def _redirected(self, error: AskError, parts: Sequence[str | int]) -> Any:
        """Sends a command to the node that a redirection names; follows further redirections.

        Raises:
            RedisError: as in `execute_command`; or the last redirection, if there are too many.
        """
        async with deadline(self._timeout_seconds):
            for _ in range(_MAX_REDIRECTIONS):
                node = self._node_at((error.host, error.port))
                try:
                    if not isinstance(error, MovedError):  # the slot is on its way to the node
                        return await node.execute_asking(*parts)
                    self._node_of_slot[error.slot_id] = node
                    self._refresh()
                    return await node.execute_command(*parts)
                except AskError as again:
                    error = again
        raise error

    async def _read_first_slots(self) -> None:
        """Reads the slots, and waits for them until the deadline.

        After the deadline, reading goes on in the background.

        Raises:
            RedisError: no node answers, or none in time.
        """
        self._refreshing = self._refreshing or asyncio.create_task(self._read_slots())
        async with deadline(self._timeout_seconds):
            await asyncio.shield(self._refreshing)
        if not self._node_of_slot:
            raise LostError("no node of the cluster answers")

    def _refresh(self) -> None:
        """Starts to read the slots in the background, at most once in SECONDS_BETWEEN_REFRESHES."""
        now = asyncio.get_running_loop().time()
        if self._refreshing is None and now >= self._may_refresh_at:
            self._may_refresh_at = now + SECONDS_BETWEEN_REFRESHES
            self._refreshing = asyncio.create_task(self._read_slots())

    async def _read_slots(self) -> None:
        """Asks one node after another for the slots, until one answers; uses its answer."""
        try:
            for node in (*self._nodes.values(), self._first):
                try:
                    ranges = await node.execute_command("CLUSTER", "SLOTS")
                except RedisError:
                    continue
                if ranges:
                    self._use(ranges, node)
                    return
        finally:
            self._refreshing = None

    def _use(self, ranges: Sequence[Sequence[Any]], told_by: SharedConnection) -> None:
        """Maps slots to nodes by a reply to CLUSTER SLOTS; drops the nodes that it does not name.

        `ranges`: the reply. `told_by`: the node that replied.
        """
        node_of_slot: list[SharedConnection | None] = [None] * _NUM_SLOTS
        primaries = {}
        for first, last, (host, port, *_), *_replicas in ranges:
            # An empty host stands for that of the node that answers.
            address = (host or self._host_of(told_by), port)
            node = primaries[address] = self._node_at(address)
            node_of_slot[first : last + 1] = [node] * (last + 1 - first)
        self._node_of_slot = node_of_slot
        for address in self._nodes.keys() - primaries.keys():
            self._leave(self._nodes.pop(address))

    def _leave(self, node: SharedConnection) -> None:
        """Closes a node's connection after a delay, so that its last commands can be answered."""

        async def close_later() -> None:
            try:
                await asyncio.sleep(2 * self._timeout_seconds)
            finally:
                await node.aclose()

        task = asyncio.create_task(close_later())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _host_of(self, node: SharedConnection) -> str:
        hosts = (host for (host, _), each in self._nodes.items() if each is node)
        return next(hosts, address_of(self._url)[0])

    def _node_at(self, address: Address) -> SharedConnection:
        if address not in self._nodes:
            self._nodes[address] = self._new_node(address)
        return self._nodes[address]

    def _new_node(self, address: Address) -> SharedConnection:
        pool = pool_of_node(self._url, address, **self._options)
        return SharedConnection(pool, self._timeout_seconds)
