"""Insertion by time, by which a journal is replayed."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from service.stores.event_log.protocol import LogBounds, NotLoggedError
from service.stores.history.cluster_store import ClusterHistoryStore
from service.stores.history.protocol import Event, Retention, Session
from service.stores.history.redis_keys import keys_of, stream_of
from service.stores.history.redis_store import RedisHistoryStore, now
from service.stores.redis_client import connect_cluster, connect_shared
from tests.service.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.conftest import RedisCluster, RedisServer

pytestmark = pytest.mark.anyio

ANN = Session("v1.ann")


@pytest.fixture(params=["redis_server", "redis_cluster"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[RedisHistoryStore]:
    server: RedisServer | RedisCluster = request.getfixturevalue(request.param)
    limits = Retention(max_length=3, ttl_seconds=60, event_id_seconds=60)
    if server.is_cluster:
        client = connect_cluster(server.url, timeout_seconds=PATIENCE_SECONDS)
        store: RedisHistoryStore = ClusterHistoryStore(client, limits, has_journals=True)
    else:
        shared = connect_shared(server.url, timeout_seconds=PATIENCE_SECONDS)
        store = RedisHistoryStore(shared, limits, has_journals=True)
    yield store
    await store.close()


async def test_an_event_finds_its_place_by_its_time(store: RedisHistoryStore) -> None:
    before = now()
    await store.append(ANN, Event("a", "e1"))
    between = now()
    await store.append(ANN, Event("c", "e3"))
    await store.insert("v1.ann", Event("b", "e2"), between)
    assert await store.read(ANN) == ["a", "b", "c"]
    await store.insert("v1.ann", Event("d", "e4"), now())
    assert await store.read(ANN) == ["b", "c", "d"]
    await store.insert("v1.ann", Event("too old", "e0"), before)
    assert await store.read(ANN) == ["b", "c", "d"]


async def test_events_of_a_new_session_are_inserted_in_order(store: RedisHistoryStore) -> None:
    began = now()
    for number in (3, 1, 2):
        await store.insert("v1.ann", Event(str(number), f"e{number}"), began + number)
    assert await store.read(ANN) == ["1", "2", "3"]


async def test_an_event_that_was_stored_is_not_inserted_again(store: RedisHistoryStore) -> None:
    await store.append(ANN, Event("a", "e1"))
    await store.insert("v1.ann", Event("a", "e1"), now())
    await store.insert("v1.ann", Event("b", "e2"), now())
    await store.insert("v1.ann", Event("b", "e2"), now())
    assert await store.read(ANN) == ["a", "b"]


async def test_an_inserted_event_that_is_sent_again_is_not_stored_again(
    store: RedisHistoryStore,
) -> None:
    await store.insert("v1.ann", Event("a", "e1"), now())
    assert await store.append(ANN, Event("a", "e1")) == ["a"]


async def test_an_event_left_out_of_a_full_log_is_logged_by_the_replay_of_its_repetition(
    redis_server: "RedisServer",
) -> None:
    limits = Retention(max_length=3, ttl_seconds=60, event_id_seconds=60)
    client = connect_shared(redis_server.url, timeout_seconds=PATIENCE_SECONDS)
    store = RedisHistoryStore(client, limits, has_journals=True, log=LogBounds(1, 1, 1))
    events = [Event("a", f"e{number}", log_text=f"[{number}]") for number in range(17)]
    for event in events[:16]:  # the stream is measured at every 16th entry
        await store.append(ANN, event)
    with pytest.raises(NotLoggedError):
        await store.append(ANN, events[16])
    with pytest.raises(NotLoggedError) as again:
        await store.insert("v1.ann", events[16], now())
    assert not again.value.is_new

    await client.execute_command("XTRIM", stream_of("v1.ann"), "MAXLEN", 0)
    for _ in range(2):
        await store.insert("v1.ann", events[16], now())

    assert await client.execute_command("XLEN", stream_of("v1.ann")) == 1
    await store.close()


async def test_an_erased_session_is_not_brought_back(store: RedisHistoryStore) -> None:
    at = now()
    await store.forget(ANN)
    await store.insert("v1.ann", Event("before", "e1"), at)
    await store.insert("v1.ann", Event("after", "e2"), now())
    assert await store.read(ANN) == ["after"]


async def test_an_erased_session_is_not_linked_to_its_user_again(store: RedisHistoryStore) -> None:
    at = now()
    await store.forget(ANN)
    await store.insert("v1.ann", Event("before", "e1", user_ref="u1.customer"), at)
    assert await store.sessions_of("u1.customer") == []


async def test_no_session_of_an_erased_user_is_brought_back(store: RedisHistoryStore) -> None:
    at, user_ref = now(), "u1.customer"
    await store.forget_user(user_ref, None)
    await store.insert("v1.ann", Event("before", "e1", user_ref=user_ref), at)
    assert await store.sessions_of(user_ref) == []
    await store.insert("v1.ann", Event("another's", "e2", user_ref="u1.other"), at)
    await store.insert("v1.ann", Event("after", "e3", user_ref=user_ref), now())
    assert await store.read(ANN) == ["another's", "after"]
    assert await store.sessions_of(user_ref) == ["v1.ann"]


async def test_an_event_without_an_id_counts_as_older(store: RedisHistoryStore) -> None:
    at = now()
    await store.append(ANN, Event("a"))
    await store.insert("v1.ann", Event("b", "e1"), at)
    assert await store.read(ANN) == ["a", "b"]


async def test_an_event_that_is_older_than_a_session_lives_is_not_inserted(
    store: RedisHistoryStore,
) -> None:
    await store.insert("v1.ann", Event("old", "e1"), now() - 61 * 10**6)
    await store.insert("v1.ann", Event("new", "e2"), now() - 59 * 10**6)
    assert await store.read(ANN) == ["new"]


async def test_event_ids_live_as_long_as_their_session(store: RedisHistoryStore) -> None:
    await store.append(ANN, Event("a", "e1"))
    keys = keys_of(ANN.ref)
    await store._redis.execute_command("PEXPIRE", keys.event_ids, 1_000)
    await store.append(ANN, Event("b"))
    assert int(await store._redis.execute_command("PTTL", keys.event_ids)) > 30_000


async def test_an_id_may_be_used_again_after_its_window(store: RedisHistoryStore) -> None:
    at = now()
    await store.insert("v1.ann", Event("a", "e1"), at - 59 * 10**6)
    await store.insert("v1.ann", Event("a", "e1"), at - 50 * 10**6)
    await store.insert("v1.ann", Event("c", "e1"), at + 2 * 10**6)
    assert await store.read(ANN) == ["a", "c"]
