"""The CountStore protocol: one suite for every implementation."""

import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from redis import Redis

from service.stores.counts.memory import MemoryCountStore
from service.stores.counts.protocol import CountKey, CountStore, CountsUnavailableError
from service.stores.counts.redis_store import RedisCountStore
from service.stores.counts.windows import Period, periods_at
from service.stores.redis_client import connect_cluster, connect_shared

if TYPE_CHECKING:
    from tests.conftest import RedisCluster, RedisServer

pytestmark = pytest.mark.anyio

MAX_ITEMS = 4
DAY = next(each for each in periods_at(time.time(), time.time()) if each.seconds == 86_400)
CLICKS = CountKey("default", "click", DAY)


@pytest.fixture(params=["memory", "redis_server", "redis_cluster"])
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[tuple[CountStore, CountStore]]:
    """Two stores of the same counts, as two workers have them; in memory there is only one."""
    opened: list[CountStore]
    if request.param == "memory":
        opened = [MemoryCountStore(MAX_ITEMS)] * 2
    else:
        server: RedisServer | RedisCluster = request.getfixturevalue(request.param)
        connect = connect_cluster if server.is_cluster else connect_shared
        opened = [
            RedisCountStore(connect(server.url, timeout_seconds=5), MAX_ITEMS) for _ in range(2)
        ]
    yield opened[0], opened[1]
    for each in opened:
        await each.close()


async def test_numbers_of_all_workers_are_added_up(stores: tuple[CountStore, CountStore]) -> None:
    first, second = stores
    assert await first.read(CLICKS) == {}
    await first.add(CLICKS, {"a": 2, "é b\n": 1})
    await second.add(CLICKS, {"a": 3})
    assert await first.read(CLICKS) == await second.read(CLICKS) == {"a": 5, "é b\n": 1}


async def test_tenants_types_and_periods_are_counted_apart(
    stores: tuple[CountStore, CountStore],
) -> None:
    store, _ = stores
    keys = [
        CLICKS,
        CLICKS._replace(tenant="other"),
        CLICKS._replace(event_type="purchase"),
        CLICKS._replace(period=Period(86_400, DAY.number + 1)),
        CLICKS._replace(period=Period(3_600, DAY.number * 24 + 1_000)),
    ]
    for number, key in enumerate(keys, start=1):
        await store.add(key, {"a": number})
    assert [await store.read(key) for key in keys] == [{"a": number} for number in range(1, 6)]


async def test_of_too_many_items_half_are_kept_those_with_the_most_events(
    stores: tuple[CountStore, CountStore],
) -> None:
    store, _ = stores
    await store.add(CLICKS, {"a": 5, "b": 1, "c": 9, "d": 2})
    assert (await store.read(CLICKS)).keys() == set("abcd")
    await store.add(CLICKS, {"e": 7})
    assert await store.read(CLICKS) == {"c": 9, "e": 7}
    await store.add(CLICKS, {"b": 3})
    assert await store.read(CLICKS) == {"c": 9, "e": 7, "b": 3}


async def test_more_items_than_one_command_takes_are_counted(
    redis_server: "RedisServer",
) -> None:
    store = RedisCountStore(connect_shared(redis_server.url, timeout_seconds=5), 2_000)
    counts = {f"item-{number}": number for number in range(1, 1_202)}
    await store.add(CLICKS, counts)
    assert await store.read(CLICKS) == counts
    await store.close()


async def test_counts_in_memory_are_dropped_when_their_period_expires() -> None:
    now = 1_000_000.0
    store = MemoryCountStore(MAX_ITEMS, lambda: now)
    old, new = (CountKey("default", "click", Period(600, number)) for number in (1_666, 1_680))
    await store.add(old, {"a": 1})
    now = old.period.expires_at - 1
    await store.add(new, {"a": 1})
    assert await store.read(old) == {"a": 1}
    now += 1
    await store.add(new._replace(tenant="other"), {"a": 1})
    assert await store.read(old) == {}
    assert await store.read(new) == {"a": 1}


async def test_counts_in_redis_expire_with_their_period(redis_server: "RedisServer") -> None:
    store = RedisCountStore(connect_shared(redis_server.url, timeout_seconds=5), MAX_ITEMS)
    await store.add(CLICKS, {"a": 1})
    await store.close()
    with Redis.from_url(redis_server.url, decode_responses=True) as client:
        (name,) = client.scan_iter("popular:*")
        assert name == f"popular:86400:{DAY.number}:default:click"
        assert client.expiretime(name) == DAY.expires_at


async def test_a_redis_that_does_not_answer_is_told(mortal_redis: "RedisServer") -> None:
    store = RedisCountStore(connect_shared(mortal_redis.url, timeout_seconds=5), MAX_ITEMS)
    mortal_redis.kill()
    with pytest.raises(CountsUnavailableError):
        await store.add(CLICKS, {"a": 1})
    with pytest.raises(CountsUnavailableError):
        await store.read(CLICKS)
    await store.close()
