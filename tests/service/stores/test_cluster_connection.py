"""The shared connections to the nodes of a Redis Cluster, on three real nodes."""

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from redis.exceptions import ClusterDownError, RedisError
from redis.exceptions import ConnectionError as LostError

from proofs.fixtures.processes.waiting import free_port
from service.stores import cluster_connection
from service.stores.cluster_connection import SECONDS_BETWEEN_REFRESHES, ClusterConnection
from service.stores.redis_client import connect_cluster
from service.stores.redis_connection import SharedConnection
from service.stores.redis_scripts import Script
from tests.service.conftest import PATIENCE_SECONDS
from tests.service.stores.cluster_nodes import KEYS, asking, owner, set_all

if TYPE_CHECKING:
    from tests.conftest import RedisCluster

pytestmark = pytest.mark.anyio

DATA = Script("return redis.call('SET', KEYS[1], ARGV[1])")


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
