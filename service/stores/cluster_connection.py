"""A client of a Redis Cluster with one shared connection per node.

The client knows which node has each of the 16,384 hash slots, and sends each command to the node
of its key. All commands of one event-loop turn to one node are sent in one write. A node that has
moved a slot answers with the address of the new node, and the command is sent there. After such an
answer, or if a node is lost, the client reads the slots again in the background. While a slot is
being moved, a command can have keys at two nodes, and both refuse it: it is sent again after a
pause.
"""

import asyncio
import re
from collections.abc import Hashable, Sequence
from typing import Any

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as LostError

from service.stores.redis_connection import SharedConnection, deadline
from service.stores.redis_pools import address_of, pool_of_node

_PAUSES = (0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256)
"""Times in seconds before a command is sent again while nodes do not agree on its slot."""
_SCRIPTS = ("EVALSHA", "EVAL")
SECONDS_BETWEEN_REFRESHES = 0.5
"""Minimum time in seconds between two reads of a cluster's slots while a node is lost."""

_HEAD_LENGTH = len("s:{07}")
"""Number of characters after which the hash tag of a session's key ends."""
_HEAD_WITH_TAG = re.compile(r"[^{]*\{[^}]+\}")
_MAX_HEADS = 512  # sessions and users have five kinds of keys, with 64 tags

Address = tuple[str, int]
"""Host and port of a node."""

_slot_of_head: dict[str, int] = {}


def slot_of(key: str) -> int:
    """Returns the hash slot of a key; keeps the slots of the first 512 heads that end with a tag.

    Redis hashes the hash tag alone, so all keys with such a head have its slot. To hash a key takes
    half a microsecond, but several where the processor's caches hold other programs, as they do
    between the commands of a quiet service.
    """
    head = key[:_HEAD_LENGTH]
    slot = _slot_of_head.get(head)
    if slot is None:
        slot = key_slot(key.encode())
        if head[-1:] == "}" and _HEAD_WITH_TAG.fullmatch(head) and len(_slot_of_head) < _MAX_HEADS:
            _slot_of_head[head] = slot
    return slot


class ClusterConnection:
    """Sends each command to the node of its key; connects at the first command.

    All keys of a command must lie in one slot. Commands that a node has accepted are not repeated.
    """

    def __init__(self, url: str, timeout_seconds: float, **options: Any) -> None:
        """Makes a client that is not connected yet.

        Args:
            url: address of any node of the cluster.
            timeout_seconds: maximum time of a command at one node, of all its redirections, and of
                all its repetitions while its slot is being moved.
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
        self._num_reads = 0  # of the slots
        # The nodes that it has left, by the tasks that close them.
        self._leaving: dict[asyncio.Task[None], SharedConnection] = {}

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
        node = self._node_for(parts)
        try:
            return await node.execute_command(*parts)
        except TryAgainError as error:
            return await self._send_again(error, parts)
        except RedisError as error:
            return await self._after_error(error, node, parts)

    def node_of(self, key: str) -> Hashable:
        """Returns the node that has the slot of `key`, by the slots that were read last.

        Returns the slot's number before the slots are read, and None if no node serves the slot.
        """
        slot = slot_of(key)
        return self._node_of_slot[slot] if self._node_of_slot else slot

    async def aclose(self) -> None:
        """Closes all connections; commands that still wait for a reply fail with a LostError."""
        if (refreshing := self._refreshing) is not None:
            refreshing.cancel()
            await asyncio.wait([refreshing])  # it opens no more connections
        leaving = dict(self._leaving)
        for task in leaving:
            task.cancel()
        nodes = (self._first, *self._nodes.values(), *leaving.values())
        await asyncio.gather(*(each.aclose() for each in nodes), *leaving, return_exceptions=True)

    async def _ping(self) -> Any:
        primaries = dict.fromkeys(filter(None, self._node_of_slot))
        replies = await asyncio.gather(*(self._ping_one(each) for each in primaries))
        return replies[0]

    async def _ping_one(self, node: SharedConnection) -> Any:
        try:
            return await node.execute_command("PING")
        except RedisError:
            self._refresh(node)
            raise

    def _node_for(self, parts: Sequence[str | int]) -> SharedConnection:
        """Returns the node of a command's key; raises LostError if no node serves its slot."""
        key = str(parts[3] if parts[0] in _SCRIPTS else parts[1])
        node = self._node_of_slot[slot_of(key)]
        if node is None:
            self._refresh()
            raise LostError(f"no node of the cluster serves the slot of {parts[0]}")
        return node

    async def _after_error(
        self, error: RedisError, node: SharedConnection, parts: Sequence[str | int]
    ) -> Any:
        """Follows the redirection that a node answered with, or raises its error.

        The slots are read again if the error means that another node may serve the key.
        """
        if isinstance(error, AskError):  # MovedError, too
            return await self._redirected(error, node, parts)
        if isinstance(error, ClusterDownError) or not isinstance(error, ResponseError):
            self._refresh(node)
        raise error

    async def _send_again(self, error: TryAgainError, parts: Sequence[str | int]) -> Any:
        """Sends a command again after each of `_PAUSES`, until a node has all of its keys.

        No node has run a command that it answers with `error`, so the command is not run twice.

        Raises:
            RedisError: a node refuses the command, is too slow, or cannot be reached; after the
                last pause, TryAgainError.
        """
        async with deadline(self._timeout_seconds):
            for pause in _PAUSES:
                await asyncio.sleep(pause)
                node = self._node_for(parts)
                try:
                    return await node.execute_command(*parts)
                except TryAgainError as again:
                    error = again
                except RedisError as other:
                    return await self._after_error(other, node, parts)
        raise error

    async def _redirected(
        self, error: AskError, node: SharedConnection | None, parts: Sequence[str | int]
    ) -> Any:
        """Sends a command to the node that a redirection names; follows further redirections.

        `error`: the redirection. `node`: the node that answered with it. `parts`: the command.

        Raises:
            RedisError: a node refuses the command, is too slow, or cannot be reached; after
                the last of `_PAUSES`, the last redirection itself.
        """
        async with deadline(self._timeout_seconds):
            # Two come at once where a slot has moved and moves on; more mean that nodes disagree.
            for pause in (0.0, 0.0, *_PAUSES):
                await asyncio.sleep(pause)
                # An empty host stands for that of the node that answers.
                node = self._node_at((error.host or self._host_of(node), error.port))
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
        """Reads the slots, and waits for them at most `timeout_seconds`.

        After this time, reading goes on in the background.

        Raises:
            RedisError: no node answers, or none in time.
        """
        self._refreshing = self._refreshing or asyncio.create_task(self._read_slots())
        async with deadline(self._timeout_seconds):
            await asyncio.shield(self._refreshing)
        if not self._node_of_slot:
            raise LostError("no node of the cluster answers")

    def _refresh(self, failed: SharedConnection | None = None) -> None:
        """Starts to read the slots in the background, at most once in SECONDS_BETWEEN_REFRESHES.

        `failed`: a node that is lost or cut off from the others; it is asked last.
        """
        now = asyncio.get_running_loop().time()
        if self._refreshing is None and now >= self._may_refresh_at:
            self._may_refresh_at = now + SECONDS_BETWEEN_REFRESHES
            self._refreshing = asyncio.create_task(self._read_slots(failed))

    async def _read_slots(self, failed: SharedConnection | None = None) -> None:
        """Asks one node after another for the slots, until one answers; uses that answer.

        `failed`: a node that is asked last.
        """
        try:
            for node in self._to_ask(failed):
                try:
                    ranges = await node.execute_command("CLUSTER", "SLOTS")
                except RedisError:
                    continue
                if ranges:
                    self._use(ranges, node)
                    if node is self._first:  # one connection a node: it has another one now
                        await node.aclose()
                    return
        finally:
            self._refreshing = None

    def _to_ask(self, failed: SharedConnection | None) -> list[SharedConnection]:
        """Returns all nodes, `failed` last; each call begins one node later than the call before.

        A node that is cut off from the others still answers, with the slots of a past time.
        """
        nodes = list(self._nodes.values())
        begin = self._num_reads % len(nodes) if nodes else 0
        self._num_reads += 1
        # The first address can be that of `failed`, so the known nodes come before it.
        in_turn = [*nodes[begin:], *nodes[:begin], self._first]
        return sorted(in_turn, key=lambda each: each is failed)

    def _use(self, ranges: Sequence[Sequence[Any]], told_by: SharedConnection) -> None:
        """Maps slots to nodes by a reply to CLUSTER SLOTS; drops the nodes that it does not name.

        `ranges`: the reply. `told_by`: the node that replied, whose host stands for an empty one.
        """
        node_of_slot: list[SharedConnection | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
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
            await asyncio.sleep(2 * self._timeout_seconds)
            await node.aclose()

        task = asyncio.create_task(close_later())
        self._leaving[task] = node
        task.add_done_callback(self._leaving.pop)

    def _host_of(self, node: SharedConnection | None) -> str:
        hosts = (host for (host, _), each in self._nodes.items() if each is node)
        return next(hosts, address_of(self._url)[0])

    def _node_at(self, address: Address) -> SharedConnection:
        if address not in self._nodes:
            self._nodes[address] = self._new_node(address)
        return self._nodes[address]

    def _new_node(self, address: Address) -> SharedConnection:
        pool = pool_of_node(self._url, address, **self._options)
        return SharedConnection(pool, self._timeout_seconds)
