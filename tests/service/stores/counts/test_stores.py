"""The CountStore protocol: one suite for every implementation."""

import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import numpy as np
import pytest
from redis import Redis

from service.stores.counts.memory import MemoryCountStore
from service.stores.counts.protocol import CountKey, CountStore, CountsUnavailableError
from service.stores.counts.redis_store import RedisCountStore
from service.stores.counts.windows import Period, periods_at
from service.stores.redis_client import connect_cluster, connect_shared
from tests.service.conftest import PATIENCE_SECONDS

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
            RedisCountStore(connect(server.url, timeout_seconds=PATIENCE_SECONDS), MAX_ITEMS)
            for _ in range(2)
        ]
    yield opened[0], opened[1]
    for each in opened:
        await each.close()


async def test_numbers_of_all_workers_are_added_up(stores: tuple[CountStore, CountStore]) -> None:
    first, second = stores
    assert await first.read(CLICKS) == (0, {})
    await first.add(CLICKS, {"a": 2, "é b\n": 1})
    await second.add(CLICKS, {"a": 3})
    assert await first.read(CLICKS) == await second.read(CLICKS) == (6, {"a": 5, "é b\n": 1})


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
    assert [await store.read(key) for key in keys] == [
        (number, {"a": number}) for number in range(1, 6)
    ]


async def test_beyond_the_maximum_the_items_with_the_lowest_scores_are_cut(
    stores: tuple[CountStore, CountStore],
) -> None:
    """Four items are kept. The first cut leaves out b, whose 1 event is the floor from then on.

    The number of all events has those of cut items, too: 17, then 24, 27, 30, 37 and 38.
    """
    store, _ = stores
    await store.add(CLICKS, {"a": 5, "b": 1, "c": 9, "d": 2})
    assert await store.read(CLICKS) == (17, {"a": 5, "b": 1, "c": 9, "d": 2})
    await store.add(CLICKS, {"e": 7})
    assert await store.read(CLICKS) == (24, {"a": 5, "c": 9, "d": 2, "e": 7})
    # b enters with the score 1 and gets 4; then d, with 2, is cut, and the floor is 2.
    await store.add(CLICKS, {"b": 3})
    assert await store.read(CLICKS) == (27, {"a": 5, "b": 3, "c": 9, "e": 7})
    # d enters with 2 and gets 3, less than all others: the floor is 3.
    await store.add(CLICKS, {"d": 1, "b": 2})
    assert await store.read(CLICKS) == (30, {"a": 5, "b": 5, "c": 9, "e": 7})
    # f and g enter with 3 and get 8 and 5. The scores are g 5, a 5, b 6, e 7, f 8, c 9: a and g go.
    await store.add(CLICKS, {"f": 5, "g": 2})
    assert await store.read(CLICKS) == (37, {"b": 5, "c": 9, "e": 7, "f": 5})
    # h enters with 5 and gets 6, the score of b, which entered with 1 and so goes.
    await store.add(CLICKS, {"h": 1})
    assert await store.read(CLICKS) == (38, {"h": 1, "c": 9, "e": 7, "f": 5})


async def test_a_new_item_that_trends_among_many_established_ones_is_counted(
    stores: tuple[CountStore, CountStore],
) -> None:
    """40 items fill a sketch of four ten times over; then every second event is the new item's.

    In the end it has 250 of 900 events. The floor is at most 900 / 5 = 180, so it has at least 70.
    """
    store, _ = stores
    for number in range(40):
        await store.add(CLICKS, {f"old-{number}": 10})
    for number in range(50):
        others = {f"old-{(5 * number + each) % 40}": 1 for each in range(5)}
        await store.add(CLICKS, {"new": 5, **others})
    assert 70 <= (await store.read(CLICKS)).by_item["new"] <= 250


@pytest.mark.parametrize("seed", range(3))
async def test_an_item_with_many_of_the_events_is_kept_and_no_number_is_too_high(
    stores: tuple[CountStore, CountStore], seed: int
) -> None:
    """Four items are kept, so of N events an item's number lacks at most N / 5."""
    store, random, truth = stores[0], np.random.default_rng(seed), Counter[str]()
    for _ in range(60):
        shift = 10 * (truth.total() // 300)  # other items are wanted later
        drawn = random.exponential(5, size=10).astype(int) + shift
        events = Counter(map(str, drawn.tolist()))
        await store.add(CLICKS, events)
        truth.update(events)
        total, counted = await store.read(CLICKS)
        assert total == truth.total()
        most = truth.total() / 5
        assert len(counted) <= MAX_ITEMS
        assert all(0 < number <= truth[item] for item, number in counted.items())
        assert all(truth[item] - counted.get(item, 0) <= most for item in truth)


async def test_without_numbers_nothing_is_counted(
    stores: tuple[CountStore, CountStore],
) -> None:
    store, _ = stores
    await store.add(CLICKS, {})
    assert await store.read(CLICKS) == (0, {})
    await store.add(CLICKS, {"f": 1, "e": 2})
    await store.add(CLICKS, {})
    assert await store.read(CLICKS) == (3, {"f": 1, "e": 2})


async def test_more_items_than_one_command_takes_are_counted(
    redis_server: "RedisServer",
) -> None:
    store = RedisCountStore(
        connect_shared(redis_server.url, timeout_seconds=PATIENCE_SECONDS), 2_000
    )
    counts = {f"item-{number}": number for number in range(1, 1_202)}
    await store.add(CLICKS, counts)
    assert await store.read(CLICKS) == (sum(counts.values()), counts)
    await store.close()


async def test_a_maximum_that_was_lowered_is_reached_in_short_commands(
    redis_server: "RedisServer",
) -> None:
    """Each command cuts at most 1,000 items: those with the fewest events."""
    connection = connect_shared(redis_server.url, timeout_seconds=PATIENCE_SECONDS)
    counts = {f"item-{number}": number for number in range(1, 2_503)}
    await RedisCountStore(connection, 3_000).add(CLICKS, counts)
    store = RedisCountStore(connection, 2)
    for number_left in (1_502, 502, 2):
        await store.add(CLICKS, {})
        assert len((await store.read(CLICKS)).by_item) == number_left
    kept = {"item-2501": 2_501, "item-2502": 2_502}
    assert await store.read(CLICKS) == (sum(counts.values()), kept)
    await store.close()


async def test_counts_in_memory_are_dropped_when_their_period_expires() -> None:
    now = 1_000_000.0
    store = MemoryCountStore(MAX_ITEMS, lambda: now)
    old, new = (CountKey("default", "click", Period(600, number)) for number in (1_666, 1_680))
    await store.add(old, {"a": 1})
    now = old.period.expires_at - 1
    await store.add(new, {"a": 1})
    assert await store.read(old) == (1, {"a": 1})
    now += 1
    await store.add(new._replace(tenant="other"), {"a": 1})
    assert await store.read(old) == (0, {})
    assert await store.read(new) == (1, {"a": 1})


async def test_counts_in_redis_expire_with_their_period(redis_server: "RedisServer") -> None:
    store = RedisCountStore(
        connect_shared(redis_server.url, timeout_seconds=PATIENCE_SECONDS), MAX_ITEMS
    )
    await store.add(CLICKS, {"a": 1})
    await store.close()
    with Redis.from_url(redis_server.url, decode_responses=True) as client:
        (name,) = client.scan_iter("counts:*")
        assert name == f"counts:86400:{DAY.number}:default:click"
        assert client.expiretime(name) == DAY.expires_at


async def test_a_redis_that_does_not_answer_is_told(mortal_redis: "RedisServer") -> None:
    store = RedisCountStore(
        connect_shared(mortal_redis.url, timeout_seconds=PATIENCE_SECONDS), MAX_ITEMS
    )
    mortal_redis.kill()
    with pytest.raises(CountsUnavailableError):
        await store.add(CLICKS, {"a": 1})
    with pytest.raises(CountsUnavailableError):
        await store.read(CLICKS)
    await store.close()


async def test_a_full_redis_refuses_an_addition_without_numbers_too_and_is_read(
    mortal_redis: "RedisServer",
) -> None:
    store = RedisCountStore(
        connect_shared(mortal_redis.url, timeout_seconds=PATIENCE_SECONDS), MAX_ITEMS
    )
    await store.add(CLICKS, {"a": 1})
    with Redis.from_url(mortal_redis.url) as client:
        client.config_set("maxmemory", 1)
    with pytest.raises(CountsUnavailableError, match="OutOfMemory"):
        await store.add(CLICKS, {})
    assert await store.read(CLICKS) == (1, {"a": 1})
    await store.close()
