"""Slots of a Redis Cluster that are on their way, have moved, or that nodes disagree about."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from redis.crc import key_slot
from redis.exceptions import ResponseError, TryAgainError

from service.stores import cluster_connection
from service.stores.cluster_connection import ClusterConnection
from service.stores.redis_client import connect_cluster
from service.stores.redis_connection import SharedConnection
from service.stores.redis_replies import reply_error
from tests.service.conftest import PATIENCE_SECONDS
from tests.service.stores.cluster_nodes import KEYS, asking, owner, set_all

if TYPE_CHECKING:
    from tests.conftest import RedisCluster

pytestmark = pytest.mark.anyio


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


async def test_nodes_that_send_a_command_to_each_other_for_a_moment_are_asked_until_they_agree(
    shared: ClusterConnection, redis_cluster: "RedisCluster", monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_all(shared, KEYS, "1")
    key = next(each for each in KEYS if owner(each) == 0)
    slot, asked = key_slot(key.encode()), []
    ports = [each.url.rpartition(":")[2].partition("/")[0] for each in redis_cluster.nodes]
    send = SharedConnection.execute_command

    async def disagree(self: SharedConnection, *parts: str | int) -> Any:
        if parts[0] != "GET":
            return await send(self, *parts)
        asked.append(self)
        if len(asked) < 8:
            raise reply_error(f"MOVED {slot} 127.0.0.1:{ports[len(asked) % 2]}")
        return "found"

    monkeypatch.setattr(SharedConnection, "execute_command", disagree)
    assert await shared.execute_command("GET", key) == "found"


@pytest.mark.parametrize("text", ["MOVED", "MOVED 7", "ASK x y:z", "MOVED 7 nowhere"])
def test_a_malformed_redirection_is_an_error_like_any_other(text: str) -> None:
    assert type(reply_error(text)) is ResponseError
