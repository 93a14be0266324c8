"""The shared connections to the nodes of a Redis Cluster, on three real nodes."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from redis import Redis
from redis.crc import key_slot
from redis.exceptions import ClusterDownError, RedisError, ResponseError, TryAgainError
from redis.exceptions import ConnectionError as LostError

from proofs.fixtures.processes.waiting import free_port
from service.stores import cluster_connection
from service.stores.cluster_connection import SECONDS_BETWEEN_REFRESHES, ClusterConnection
from service.stores.redis_client import connect_cluster
from service.stores.redis_connection import SharedConnection
from service.stores.redis_replies import reply_error
from service.stores.redis_scripts import Script
from tests.service.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.conftest import RedisCluster

pytestmark = pytest.mark.anyio

KEYS = [f"key-{number}" for number in range(30)]
DATA = Script("return redis.call('SET', KEYS[1], ARGV[1])")


@pytest.fixture
async def shared(redis_cluster: "RedisCluster") -> AsyncIterator[ClusterConnection]:
    client = connect_cluster(redis_cluster.url, timeout_seconds=PATIENCE_SECONDS)
    yield client
    await client.aclose()


@pytest.fixture
async def mortal(mortal_cluster: "RedisCluster") -> AsyncIterator[ClusterConnection]:
    client = connect_cluster(mortal_cluster.url, timeout_seconds=PATIENCE_SECONDS)
    yield client
    await client.aclose()


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


async def test_commands_at_once_reach_the_nodes_of_their_keys(
    shared: ClusterConnection, redis_cluster: "RedisCluster"
) -> None:
    assert set((await set_all(shared, KEYS, "1")).values()) == {"OK"}
    for number in range(3):
        with asking(redis_cluster, number) as node:
            assert set(node.scan_iter()) == {key for key in KEYS if owner(key) == number}
    assert await shared.execute_command("PING") == "PONG"


async def test_a_script_runs_where_its_first_key_is(shared: ClusterConnection) -> None:
    for key in KEYS[:6]:
        assert await DATA.run(shared, 1, key, "x") == "OK"
        assert await shared.execute_command("GET", key) == "x"


async def test_a_slot_on_its_way_and_a_slot_that_has_moved_are_followed(
    mortal: ClusterConnection, mortal_cluster: "RedisCluster"
) -> None:
    key = next(each for each in KEYS if owner(each) == 0)
    slot = key_slot(key.encode())
    assert await mortal.execute_command("SET", key, "old") == "OK"
    with asking(mortal_cluster, 0) as source, asking(mortal_cluster, 1) as target:
        ids = [each.cluster("MYID") for each in (source, target)]
        target.cluster("SETSLOT", slot, "IMPORTING", ids[0])
        source.cluster("SETSLOT", slot, "MIGRATING", ids[1])
        assert await mortal.execute_command("GET", key) == "old"
        absent = f"{{{key}}}new"  # in the same slot, and at the target already
        assert await mortal.execute_command("SET", absent, "new") == "OK"
        assert source.exists(key)
        address = target.connection_pool.connection_kwargs
        source.migrate(address["host"], address["port"], [key], 0, 5_000)
        assert await mortal.execute_command("GET", key) == "old"
        for each in (target, source):
            each.cluster("SETSLOT", slot, "NODE", ids[1])
        for _ in range(2):  # the second command goes there at once
            assert await mortal.execute_command("GET", absent) == "new"
        assert {key, absent} <= set(target.keys())


@contextmanager
def half_moved(cluster: "RedisCluster", keys: list[str]) -> Iterator[Callable[[str], None]]:
    """Moves the slot of `keys`, and the first of them, from node 0 to node 1; yields `move`."""
    slot = key_slot(keys[0].encode())
    with asking(cluster, 0) as source, asking(cluster, 1) as target:
        address = target.connection_pool.connection_kwargs

        def move(key: str) -> None:
            source.migrate(address["host"], address["port"], [key], 0, 5_000)

        for key in keys:
            source.set(key, "old")
        target.cluster("SETSLOT", slot, "IMPORTING", source.cluster("MYID"))
        source.cluster("SETSLOT", slot, "MIGRATING", target.cluster("MYID"))
        move(keys[0])
        yield move


def keys_of_one_slot() -> list[str]:
    key = next(each for each in KEYS if owner(each) == 0)
    return [key, f"{{{key}}}other"]


async def test_a_script_whose_keys_are_at_two_nodes_is_sent_again_and_runs_once(
    mortal: ClusterConnection, mortal_cluster: "RedisCluster", monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, send, refusals = keys_of_one_slot(), SharedConnection.execute_command, [0]
    with half_moved(mortal_cluster, keys) as move:

        async def move_after_a_refusal(self: SharedConnection, *parts: str | int) -> Any:
            try:
                return await send(self, *parts)
            except TryAgainError:
                refusals[0] += 1
                move(keys[1])
                raise

        monkeypatch.setattr(SharedConnection, "execute_command", move_after_a_refusal)
        append = "return redis.call('APPEND', KEYS[1], 'er') + redis.call('STRLEN', KEYS[2])"
        assert await mortal.execute_command("EVAL", append, 2, *keys) == len("older" + "old")
    assert refusals == [1]


async def test_a_command_whose_keys_stay_at_two_nodes_fails_after_the_last_pause(
    mortal: ClusterConnection, mortal_cluster: "RedisCluster", monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, send, num_sent = keys_of_one_slot(), SharedConnection.execute_command, [0]

    async def count(self: SharedConnection, *parts: str | int) -> Any:
        num_sent[0] += parts[0] == "MGET"
        return await send(self, *parts)

    monkeypatch.setattr(SharedConnection, "execute_command", count)
    monkeypatch.setattr(cluster_connection, "_PAUSES", (0, 0, 0))
    with half_moved(mortal_cluster, keys), pytest.raises(TryAgainError):
        await mortal.execute_command("MGET", *keys)
    assert num_sent == [1 + 3]


async def test_a_lost_node_takes_only_its_own_keys_with_it(
    mortal: ClusterConnection, mortal_cluster: "RedisCluster"
) -> None:
    await set_all(mortal, KEYS, "1")
    mortal_cluster.nodes[1].kill()
    for _ in range(2):
        replies = await set_all(mortal, KEYS, "2")
        failed = {key for key, reply in replies.items() if isinstance(reply, RedisError)}
        assert failed == {key for key in KEYS if owner(key) == 1}
    with pytest.raises(RedisError):
        await mortal.execute_command("PING")
    mortal_cluster.nodes[1].start()
    with anyio.fail_after(PATIENCE_SECONDS):
        while set((await set_all(mortal, KEYS, "3")).values()) != {"OK"}:
            await anyio.sleep(0.05)


async def test_slots_are_read_again_at_most_twice_a_second_while_a_node_is_lost(
    mortal: ClusterConnection, mortal_cluster: "RedisCluster", monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_all(mortal, KEYS, "1")
    reads, send = [0], SharedConnection.execute_command

    async def count(self: SharedConnection, *parts: str | int) -> Any:
        reads[0] += parts[:2] == ("CLUSTER", "SLOTS")
        return await send(self, *parts)

    monkeypatch.setattr(SharedConnection, "execute_command", count)
    mortal_cluster.nodes[1].kill()
    began = time.monotonic()
    for _ in range(20):
        await set_all(mortal, KEYS, "2")
        await anyio.sleep(0.05)
    # Each look asks at most the three nodes and the first address.
    looks = 1 + (time.monotonic() - began) / SECONDS_BETWEEN_REFRESHES
    assert 1 <= reads[0] <= 4 * looks


@pytest.mark.parametrize("failure", [LostError("lost"), ClusterDownError("down")])
async def test_the_slots_are_read_from_other_nodes_than_the_one_that_fails(
    shared: ClusterConnection, monkeypatch: pytest.MonkeyPatch, failure: RedisError
) -> None:
    await set_all(shared, KEYS, "1")
    asked, send = [], SharedConnection.execute_command
    failing = 0

    async def fail(self: SharedConnection, *parts: str | int) -> Any:
        if parts[:2] == ("CLUSTER", "SLOTS"):
            asked.append(self)
        elif self is nodes[failing]:
            raise failure
        return await send(self, *parts)

    nodes = list(dict.fromkeys(shared._node_of_slot))
    monkeypatch.setattr(SharedConnection, "execute_command", fail)
    monkeypatch.setattr(cluster_connection, "SECONDS_BETWEEN_REFRESHES", 0)
    for failing in (0, 1, 2, 0, 1, 2):
        key = next(each for each in KEYS if owner(each) == failing)
        for command in (("GET", key), ("PING",)):
            with pytest.raises(type(failure)):
                await shared.execute_command(*command)
            with anyio.fail_after(PATIENCE_SECONDS):
                while shared._refreshing:
                    await anyio.sleep(0)
            assert asked.pop() in {*nodes} - {nodes[failing]}
            assert asked == []


async def test_the_slots_are_not_always_read_from_the_same_other_node(
    shared: ClusterConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_all(shared, KEYS, "1")
    asked, send = [], SharedConnection.execute_command

    async def fail(self: SharedConnection, *parts: str | int) -> Any:
        if parts[:2] == ("CLUSTER", "SLOTS"):
            asked.append(self)
        elif self is failing:
            raise LostError("lost")
        return await send(self, *parts)

    failing, *others = dict.fromkeys(shared._node_of_slot)
    monkeypatch.setattr(SharedConnection, "execute_command", fail)
    monkeypatch.setattr(cluster_connection, "SECONDS_BETWEEN_REFRESHES", 0)
    for _ in range(3):  # as many as there are nodes to begin with
        with pytest.raises(LostError):
            await shared.execute_command("PING")
        with anyio.fail_after(PATIENCE_SECONDS):
            while shared._refreshing:
                await anyio.sleep(0)
    assert {*asked} == {*others}  # one of them may be cut off from the rest of the cluster


async def test_a_redirection_without_a_host_leads_to_the_host_that_answered(
    redis_cluster: "RedisCluster", monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = connect_cluster(
        redis_cluster.url.replace("127.0.0.1", "localhost"), timeout_seconds=PATIENCE_SECONDS
    )
    await set_all(shared, KEYS, "1")
    send, redirected = SharedConnection.execute_command, []
    key = next(each for each in KEYS if owner(each) == 0)
    slot, old = key_slot(key.encode()), shared._node_of_slot[0]
    port = redis_cluster.nodes[1].url.rpartition(":")[2].partition("/")[0]

    async def redirect(self: SharedConnection, *parts: str | int) -> Any:
        if parts[0] == "GET":
            if self is old:
                raise reply_error(f"MOVED {slot} :{port}")
            redirected.append(self)
            return "found"
        return await send(self, *parts)

    monkeypatch.setattr(SharedConnection, "execute_command", redirect)
    assert await shared.execute_command("GET", key) == "found"
    assert redirected == [shared._node_of_slot[-1 + 2 * 16_384 // 3]]
    await shared.aclose()


async def test_closing_closes_a_node_that_was_left_in_the_same_turn(
    shared: ClusterConnection,
) -> None:
    await set_all(shared, KEYS, "1")
    (address, node), *_ = shared._nodes.items()
    pipeline = node._pipeline
    assert pipeline is not None
    shared._leave(shared._nodes.pop(address))
    await shared.aclose()
    assert pipeline.is_closed


async def test_a_node_that_has_told_the_slots_has_one_connection(
    shared: ClusterConnection, redis_cluster: "RedisCluster"
) -> None:
    await set_all(shared, KEYS, "1")
    last_commands = []
    for number in range(3):
        with asking(redis_cluster, number) as node:
            last_commands += [each["cmd"] for each in node.client_list()]
    assert last_commands.count("set") == 3
    assert "cluster|slots" not in last_commands


async def test_the_first_node_may_be_away_for_a_while() -> None:
    client = connect_cluster(f"redis://127.0.0.1:{free_port()}", timeout_seconds=1)
    with pytest.raises(LostError, match="no node of the cluster answers"):
        await client.execute_command("GET", "key")
    await client.aclose()


@pytest.mark.parametrize("text", ["MOVED", "MOVED 7", "ASK x y:z", "MOVED 7 nowhere"])
def test_a_malformed_redirection_is_an_error_like_any_other(text: str) -> None:
    assert type(reply_error(text)) is ResponseError


async def test_closing_makes_waiting_commands_fail(shared: ClusterConnection) -> None:
    await shared.execute_command("PING")
    async with anyio.create_task_group() as tasks:
        failures: list[RedisError] = []

        async def wait() -> None:
            try:
                await shared.execute_command("BLPOP", "nothing", 5)
            except RedisError as error:
                failures.append(error)

        tasks.start_soon(wait)
        await anyio.sleep(0.05)
        with suppress(RedisError):
            await shared.aclose()
    assert len(failures) == 1
