"""The HistoryStore protocol: one suite for every implementation."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import pytest

from service.stores.history.cluster_store import ClusterHistoryStore
from service.stores.history.memory import InMemoryHistoryStore
from service.stores.history.protocol import Event, HistoryStore, Retention, Session
from service.stores.history.redis_keys import users_key_of
from service.stores.history.redis_store import RedisHistoryStore
from service.stores.redis_client import connect_cluster, connect_shared
from tests.service.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.conftest import RedisCluster, RedisServer

pytestmark = pytest.mark.anyio

Writers = tuple[HistoryStore, HistoryStore]
OpenWriters = Callable[[Retention], Writers]


@pytest.fixture
def shift(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds by which the stores' clocks are fast, which a test sets."""
    seconds, time_ns = [0.0], time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: time_ns() + int(seconds[0] * 1e9))
    return seconds


@pytest.fixture(params=["memory", "redis_server", "redis_cluster"])
def open_writers(request: pytest.FixtureRequest, shift: list[float]) -> OpenWriters:
    """Opens two writers of the same sessions: two Redis clients, or one in-memory store twice."""
    if request.param == "memory":

        def clock() -> float:
            return time.monotonic() + shift[0]

        return lambda retention: (InMemoryHistoryStore(retention, 100, clock),) * 2
    server: RedisServer | RedisCluster = request.getfixturevalue(request.param)
    return lambda retention: (redis_store(server, retention), redis_store(server, retention))


def redis_store(server: "RedisServer | RedisCluster", retention: Retention) -> RedisHistoryStore:
    if server.is_cluster:
        cluster = connect_cluster(server.url, timeout_seconds=PATIENCE_SECONDS)
        return ClusterHistoryStore(cluster, retention)
    return RedisHistoryStore(
        connect_shared(server.url, timeout_seconds=PATIENCE_SECONDS), retention
    )


@pytest.fixture
async def writers(open_writers: OpenWriters) -> AsyncIterator[Writers]:
    async with closing(
        open_writers(Retention(max_length=500, ttl_seconds=60, event_id_seconds=60))
    ) as writers:
        yield writers


@pytest.fixture
def store(writers: Writers) -> HistoryStore:
    return writers[0]


@pytest.fixture
async def small_store(open_writers: OpenWriters) -> AsyncIterator[HistoryStore]:
    """A store that keeps three events of a session."""
    async with closing(
        open_writers(Retention(max_length=3, ttl_seconds=60, event_id_seconds=60))
    ) as writers:
        yield writers[0]


@pytest.fixture
async def expiring_store(open_writers: OpenWriters) -> AsyncIterator[HistoryStore]:
    """A store whose sessions expire after 0.05 s."""
    async with closing(
        open_writers(Retention(max_length=500, ttl_seconds=0.05, event_id_seconds=60))
    ) as writers:
        yield writers[0]


@asynccontextmanager
async def closing(writers: Writers) -> AsyncIterator[Writers]:
    yield writers
    for writer in writers:
        await writer.close()


async def test_a_history_is_returned_oldest_first(store: HistoryStore) -> None:
    await store.append(Session("s"), Event("a"))
    await store.append(Session("s"), Event("b"))
    assert await store.append(Session("s"), Event("a")) == ["a", "b", "a"]
    assert await store.read(Session("s")) == ["a", "b", "a"]


async def test_sessions_do_not_mix(store: HistoryStore) -> None:
    await store.append(Session("s"), Event("a"))
    await store.append(Session("t"), Event("b"))
    assert await store.read(Session("s")) == ["a"]


async def test_an_unknown_session_has_an_empty_history(store: HistoryStore) -> None:
    assert await store.read(Session("nobody")) == []


@pytest.mark.parametrize("item_id", ["a\nb", "\n", "naïve ☕", "a\x00b", " "])
async def test_any_item_id_comes_back_as_it_went_in(store: HistoryStore, item_id: str) -> None:
    assert await store.append(Session("s"), Event(item_id, event_id="e1")) == [item_id]
    assert await store.read(Session("s")) == [item_id]


async def test_only_the_newest_events_are_kept(small_store: HistoryStore) -> None:
    for item_id in "abcd":
        history = await small_store.append(Session("s"), Event(item_id))
    assert history == ["b", "c", "d"]


async def test_an_event_that_was_trimmed_away_is_not_stored_again(
    small_store: HistoryStore,
) -> None:
    for item_id in "abcda":
        history = await small_store.append(Session("s"), Event(item_id, event_id=item_id))
    assert history == ["b", "c", "d"]


async def test_an_event_id_counts_within_its_window(
    open_writers: OpenWriters, shift: list[float]
) -> None:
    retention = Retention(max_length=5, ttl_seconds=600, event_id_seconds=100)
    async with closing(open_writers(retention)) as (store, _):
        await store.append(Session("s"), Event("a", event_id="e1"))
        assert await store.append(Session("s"), Event("a", event_id="e1")) == ["a"]
        shift[0] = 99
        assert await store.append(Session("s"), Event("a", event_id="e1")) == ["a"]
        shift[0] = 200
        assert await store.append(Session("s"), Event("a", event_id="e1")) == ["a", "a"]
        await store.append(Session("s"), Event("b"))
        assert await store.append(Session("s"), Event("a", event_id="e1")) == ["a", "a"]


async def test_the_newest_thousand_event_ids_of_a_session_count(
    small_store: HistoryStore,
) -> None:
    for number in range(1_001):
        await small_store.append(Session("s"), Event("a", event_id=f"e{number}"))
    await small_store.append(Session("s"), Event("b", event_id="e1"))
    assert await small_store.read(Session("s")) == ["a", "a", "a"]
    await small_store.append(Session("s"), Event("b", event_id="e0"))
    assert await small_store.read(Session("s")) == ["a", "a", "b"]


async def test_a_session_expires_after_its_last_event(expiring_store: HistoryStore) -> None:
    await expiring_store.append(Session("s"), Event("a"))
    await anyio.sleep(0.1)
    assert await expiring_store.read(Session("s")) == []
    assert await expiring_store.append(Session("s"), Event("b")) == ["b"]


async def test_an_event_sent_again_is_stored_once(store: HistoryStore) -> None:
    await store.append(Session("s"), Event("a", event_id="e1"))
    await store.append(Session("s"), Event("a", event_id="e1"))
    assert await store.read(Session("s")) == ["a"]


async def test_an_event_sent_again_gets_the_first_answer(store: HistoryStore) -> None:
    await store.append(Session("s"), Event("a", event_id="e1"))
    first = await store.append(Session("s"), Event("b", event_id="e2"))
    await store.append(Session("s"), Event("c", event_id="e3"))
    assert await store.append(Session("s"), Event("b", event_id="e2")) == first == ["a", "b"]


async def test_an_event_id_does_not_match_its_prefixes(store: HistoryStore) -> None:
    await store.append(Session("s"), Event("a", event_id="e12"))
    assert await store.append(Session("s"), Event("b", event_id="e1")) == ["a", "b"]


async def test_an_event_id_counts_in_its_session_only(store: HistoryStore) -> None:
    await store.append(Session("s"), Event("a", event_id="e1"))
    assert await store.append(Session("t"), Event("b", event_id="e1")) == ["b"]


async def test_events_without_an_id_are_all_stored(store: HistoryStore) -> None:
    await store.append(Session("s"), Event("a"))
    assert await store.append(Session("s"), Event("a")) == ["a", "a"]


async def test_a_deleted_session_leaves_nothing(store: HistoryStore) -> None:
    await store.append(Session("s"), Event("a", event_id="e1"))
    await store.forget(Session("s"))
    assert await store.read(Session("s")) == []
    assert await store.append(Session("s"), Event("b", event_id="e1")) == ["b"]


async def test_deleting_an_unknown_session_is_no_error(store: HistoryStore) -> None:
    await store.forget(Session("nobody"))
    assert await store.read(Session("nobody")) == []


async def test_the_sixteen_newest_users_of_a_session_are_remembered(store: HistoryStore) -> None:
    for number in (*range(17), 1, 17):  # 1 is newer than 2 again
        await store.append(Session("s"), Event("a", user_ref=f"u{number}"))
    known = [number for number in range(18) if await store.sessions_of(f"u{number}")]
    if isinstance(store, RedisHistoryStore):  # a user's own set has its own bound
        found = await store._redis.execute_command("ZRANGE", users_key_of("s"), 0, -1)
        known = sorted(int(each[1:]) for each in found)
    assert known == [1, *range(3, 18)]


async def test_the_newest_sessions_of_a_user_are_remembered(
    store: HistoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.stores.history.redis_store.MAX_SESSIONS", 2)
    for session in "abcb":
        await store.append(Session(session), Event("i", user_ref="u"))
    found = await store.sessions_of("u")
    assert sorted(found)[-2:] == ["b", "c"]
    assert ("a" in found) == (not isinstance(store, RedisHistoryStore))


async def test_concurrent_writers_lose_nothing_and_keep_their_order(writers: Writers) -> None:
    async def write(writer: HistoryStore, name: str) -> None:
        for number in range(100):
            history = await writer.append(Session("s"), Event(f"{name}{number}"))
            assert history[-1] == f"{name}{number}"

    async with anyio.create_task_group() as tasks:
        for writer, name in zip(writers, "xy", strict=True):
            tasks.start_soon(write, writer, name)

    history = await writers[0].read(Session("s"))
    assert len(history) == 200
    for name in "xy":
        assert [each for each in history if each[0] == name] == [f"{name}{n}" for n in range(100)]


async def test_an_event_that_two_writers_send_at_once_is_stored_once(writers: Writers) -> None:
    async with anyio.create_task_group() as tasks:
        for number in range(20):
            for writer in writers:
                tasks.start_soon(writer.append, Session("s"), Event("a", event_id=f"e{number}"))
    assert len(await writers[0].read(Session("s"))) == 20
