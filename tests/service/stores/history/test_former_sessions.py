"""Sessions under former names: of the checkouts before 0.1.0, and of SESSION_SECRET_OLD."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from redis import Redis, RedisCluster
from redis.exceptions import ConnectionError as LostError

from service.errors import HistoryUnavailableError
from service.stores.history import session_scripts
from service.stores.history.cluster_store import ClusterHistoryStore
from service.stores.history.protocol import MAX_USERS, Event, Retention, Session
from service.stores.history.redis_keys import users_key_of
from service.stores.history.redis_store import RedisHistoryStore
from service.stores.redis_client import connect_cluster, connect_shared
from tests.service.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.conftest import RedisCluster as ClusterServer
    from tests.conftest import RedisServer

pytestmark = pytest.mark.anyio

ANN = Session("v1.ann", old_id="ann")
ROTATED = Session("v1.ann", former_refs=("v0.ann",))

OLD_SCRIPT = """
local session, event_id, item_id = KEYS[1], ARGV[1], ARGV[2]
if event_id ~= '' then
  local prefix = event_id .. '\\n'
  for position, entry in ipairs(redis.call('LRANGE', session, 0, -1)) do
    if string.sub(entry, 1, #prefix) == prefix then
      return redis.call('LRANGE', session, 0, position - 1)
    end
  end
end
redis.call('RPUSH', session, event_id .. '\\n' .. item_id)
redis.call('LTRIM', session, -tonumber(ARGV[3]), -1)
redis.call('PEXPIRE', session, ARGV[4])
return redis.call('LRANGE', session, 0, -1)
"""
"""The script of the checkouts before 0.1.0."""

OldAppend = Callable[[str, str], None]


@pytest.fixture(params=["redis_server", "redis_cluster"])
def server(request: pytest.FixtureRequest) -> "RedisServer | ClusterServer":
    running: RedisServer | ClusterServer = request.getfixturevalue(request.param)
    return running


@pytest.fixture
async def store(server: "RedisServer | ClusterServer") -> AsyncIterator[RedisHistoryStore]:
    limits = Retention(max_length=10, ttl_seconds=60, event_id_seconds=60)
    if server.is_cluster:
        client = connect_cluster(server.url, timeout_seconds=PATIENCE_SECONDS)
        store: RedisHistoryStore = ClusterHistoryStore(client, limits)
    else:
        store = RedisHistoryStore(
            connect_shared(server.url, timeout_seconds=PATIENCE_SECONDS), limits
        )
    yield store
    await store.close()


@pytest.fixture
def client(server: "RedisServer | ClusterServer") -> Iterator[Redis | RedisCluster]:
    kind = RedisCluster if server.is_cluster else Redis
    with kind.from_url(server.url, decode_responses=True) as client:
        yield client


@pytest.fixture
def old_release(client: Redis | RedisCluster) -> OldAppend:
    """Appends an event of the session `ann` as a service of an old release does."""

    def append(item_id: str, event_id: str = "") -> None:
        client.eval(OLD_SCRIPT, 1, "session:ann", event_id, item_id, 10, 60_000)

    return append


async def test_an_old_session_is_read(store: RedisHistoryStore, old_release: OldAppend) -> None:
    old_release("a", "e1")
    old_release("b", "")
    assert await store.read(ANN) == ["a", "b"]


async def test_the_next_event_moves_an_old_session(
    store: RedisHistoryStore, old_release: OldAppend, client: Redis
) -> None:
    old_release("a", "e1")
    old_release("b", "")
    assert await store.append(ANN, Event("c", "e2")) == ["a", "b", "c"]
    assert not client.exists("session:ann")
    assert await store.read(Session("v1.ann")) == ["a", "b", "c"]


async def test_old_and_new_services_at_once_lose_no_event_and_store_none_twice(
    store: RedisHistoryStore, old_release: OldAppend
) -> None:
    for number in range(3):
        old_release(f"old{number}", f"o{number}")
        await store.append(ANN, Event(f"new{number}", f"n{number}"))
        old_release(f"new{number}", f"n{number}")  # a resend, which the balancer sends elsewhere
    expected = ["old0", "new0", "old1", "new1", "old2", "new2"]
    assert await store.append(ANN, Event("last", "l")) == [*expected, "last"]


async def test_an_event_that_the_old_service_stored_is_not_stored_again(
    store: RedisHistoryStore, old_release: OldAppend
) -> None:
    old_release("a", "e1")
    old_release("b", "e2")
    assert await store.append(ANN, Event("a", "e1")) == ["a"]
    assert await store.read(ANN) == ["a", "b"]


async def test_a_moved_session_expires(
    store: RedisHistoryStore, old_release: OldAppend, client: Redis
) -> None:
    old_release("a", "e1")
    await store.append(ANN, Event("a", "e1"))  # a resend, which stores nothing
    keys = list(client.scan_iter())
    assert sorted(key[0] for key in keys) == ["e", "s"]
    assert all(0 < client.pttl(key) <= 60_000 for key in keys)


async def test_events_without_an_id_are_moved_once_though_two_events_come_at_once(
    store: RedisHistoryStore, old_release: OldAppend
) -> None:
    for number in range(9):
        old_release("a", "")
        old_release("b", "")
        await asyncio.gather(
            *(store.append(ANN, Event(f"c{n}", f"{number} {n}")) for n in range(3))
        )
        stored = await store.read(ANN)
        assert stored[:2] == ["a", "b"]
        assert sorted(stored[2:]) == ["c0", "c1", "c2"]
        await store.forget(ANN)


@pytest.mark.parametrize("ended_before", ["EVALSHA", "REMOVE"])
async def test_an_append_that_ended_in_the_middle_of_a_move_is_made_up_for(
    store: RedisHistoryStore,
    old_release: OldAppend,
    client: Redis,
    ended_before: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the cluster, events are claimed, stored and removed; a single Redis does all at once."""

    async def end(*_: object) -> None:
        raise LostError("the process was killed")

    old_release("a", "")
    old_release("b", "")
    await store.append(Session("v1.other"), Event("x"))  # Redis knows the script from now on
    if isinstance(store, ClusterHistoryStore):
        with monkeypatch.context() as patch, suppress(HistoryUnavailableError):
            victim = store._script if ended_before == "EVALSHA" else session_scripts.REMOVE
            patch.setattr(victim, "run", end)
            await store.append(ANN, Event("c", "e1"))
    else:
        await store.append(ANN, Event("c", "e1"))
    assert (await store.read(ANN))[:2] == ["a", "b"]
    assert await store.append(ANN, Event("c", "e1")) == ["a", "b", "c"]
    assert not [key for key in client.scan_iter() if "ann" in key and "v1" not in key]


async def test_an_erased_session_is_erased_under_its_old_key_too(
    store: RedisHistoryStore, old_release: OldAppend, client: Redis
) -> None:
    await store.append(ANN, Event("a"))
    old_release("b", "")
    await store.forget(ANN)
    assert list(client.scan_iter()) == []


async def test_a_session_under_the_old_secret_is_read_moved_and_keeps_its_event_ids(
    store: RedisHistoryStore, client: Redis
) -> None:
    for number in range(12):  # two more than are kept
        await store.append(Session("v0.ann"), Event(f"i{number}", f"e{number}"))
    assert len(await store.read(ROTATED)) == 10
    await store.append(ROTATED, Event("new", "n"))
    assert {key.rpartition(":")[2] for key in client.scan_iter()} >= {"v1.ann"}
    history = await store.append(ROTATED, Event("i0", "e0"))
    assert history == [*(f"i{number}" for number in range(3, 12)), "new"]


async def test_a_session_under_the_old_secret_is_erased(
    store: RedisHistoryStore, client: Redis
) -> None:
    await store.append(Session("v0.ann"), Event("a", "e1"))
    await store.forget(ROTATED)
    assert list(client.scan_iter()) == []


async def test_a_user_of_a_session_under_the_old_secret_has_its_current_name_once_it_is_moved(
    store: RedisHistoryStore,
) -> None:
    await store.append(Session("v0.ann"), Event("a", user_ref="u0.ann"))
    await store.append(ROTATED, Event("b"))
    assert await store.sessions_of("u0.ann") == ["v0.ann", "v1.ann"]


async def test_a_user_of_a_former_name_displaces_no_newer_one(
    store: RedisHistoryStore, client: Redis
) -> None:
    await store.append(Session("v0.ann"), Event("a", user_ref="u0"))
    for number in range(1, MAX_USERS + 1):
        await store.append(ROTATED, Event("a", user_ref=f"u{number}"))
    known = client.zrange(users_key_of("v1.ann"), 0, -1)
    assert known == [f"u{number}" for number in range(1, MAX_USERS + 1)]
