"""A store notes each event for the log once: when it is stored for the first time."""

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import pytest

from service.stores.event_log.protocol import LogBounds, NotLoggedError
from service.stores.history.cluster_store import ClusterHistoryStore
from service.stores.history.memory import InMemoryHistoryStore
from service.stores.history.protocol import Event, HistoryStore, Retention, Session
from service.stores.history.redis_store import RedisHistoryStore, now
from service.stores.redis_client import connect_cluster, connect_shared
from tests.service.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.conftest import RedisCluster, RedisServer

pytestmark = pytest.mark.anyio

LIMITS = Retention(10, 60, 60)
SESSION = Session("ref")
ROOM, FULL = LogBounds.of(1 << 20), LogBounds(-1, -1, -1)
Open = Callable[[LogBounds], RedisHistoryStore]


def event(event_id: str | None = "e1", text: str | None = "text") -> Event:
    return Event("a", event_id, log_text=text)


@pytest.fixture
def noted() -> list[str]:
    return []


@pytest.fixture(params=["redis_server", "redis_cluster"])
async def in_redis(request: pytest.FixtureRequest, noted: list[str]) -> AsyncIterator[Open]:
    """Opens stores on one Redis, with a log of some size."""
    server: RedisServer | RedisCluster = request.getfixturevalue(request.param)
    opened: list[RedisHistoryStore] = []

    def open_store(bounds: LogBounds) -> RedisHistoryStore:
        kind = ClusterHistoryStore if server.is_cluster else RedisHistoryStore
        connect = connect_cluster if server.is_cluster else connect_shared
        client = connect(server.url, timeout_seconds=PATIENCE_SECONDS)
        opened.append(kind(client, LIMITS, log=bounds, note_new=noted.append))
        return opened[-1]

    yield open_store
    for each in opened:
        await each.close()


async def append_twice(store: HistoryStore) -> None:
    for text in ("first", "again"):
        await store.append(SESSION, event(text=text))
    for text in ("third", "fourth"):
        await store.append(SESSION, event(None, text))


async def test_redis_notes_an_event_once_and_those_without_id_each_time(
    in_redis: Open, noted: list[str]
) -> None:
    await append_twice(in_redis(ROOM))
    assert noted == ["first", "third", "fourth"]


async def test_memory_notes_an_event_once_and_those_without_id_each_time(
    noted: list[str],
) -> None:
    class Log:
        async def append(self, text: str) -> None:
            """Takes all."""

    log = Log()
    store = InMemoryHistoryStore(LIMITS, 10, log=log, note_new=noted.append)  # type: ignore[arg-type]
    await append_twice(store)
    assert noted == ["first", "third", "fourth"]


async def test_an_event_is_noted_once_though_the_log_is_full_at_first(
    in_redis: Open, noted: list[str]
) -> None:
    """A full log leaves out the event and its repetition; the third time there is room again."""
    for number in range(16):  # the log is measured at every 16th entry
        await in_redis(ROOM).append(SESSION, event(f"before-{number}", "before"))
    for text in ("first", "again"):
        with pytest.raises(NotLoggedError):
            await in_redis(FULL).append(SESSION, event(text=text))
    await in_redis(ROOM).append(SESSION, event(text="at last"))
    assert noted == 16 * ["before"] + ["first"]


async def test_a_journalled_event_is_noted_when_it_is_stored(
    in_redis: Open, noted: list[str]
) -> None:
    store, at = in_redis(ROOM), now()
    for text in ("first", "again"):
        await store.insert(SESSION.ref, event(text=text), at)
    await store.append(SESSION, event(text="and again"))
    assert noted == ["first"]


async def test_an_event_without_a_text_for_the_log_is_not_noted(
    in_redis: Open, noted: list[str]
) -> None:
    await in_redis(ROOM).append(SESSION, event(text=None))
    assert noted == []
