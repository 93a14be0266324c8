import pytest

from service.stores.history.memory import InMemoryHistoryStore
from service.stores.history.protocol import Event, Retention, Session

pytestmark = pytest.mark.anyio


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def seconds(self) -> float:
        """The time in seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> InMemoryHistoryStore:
    return InMemoryHistoryStore(
        Retention(max_length=10, ttl_seconds=60, event_id_seconds=60), 2, clock.seconds
    )


async def test_each_event_restarts_the_time_to_live(
    store: InMemoryHistoryStore, clock: Clock
) -> None:
    await store.append(Session("s"), Event("a"))
    clock.now = 59
    await store.append(Session("s"), Event("b"))
    clock.now = 118
    assert await store.read(Session("s")) == ["a", "b"]
    clock.now = 119
    assert await store.read(Session("s")) == []


async def test_reading_does_not_prolong_a_session(
    store: InMemoryHistoryStore, clock: Clock
) -> None:
    await store.append(Session("s"), Event("a"))
    clock.now = 59
    await store.read(Session("s"))
    clock.now = 60
    assert await store.read(Session("s")) == []


async def test_a_full_store_drops_the_least_recently_updated_session(
    store: InMemoryHistoryStore,
) -> None:
    for session_id in "stsu":
        await store.append(Session(session_id), Event("a"))
    assert await store.read(Session("t")) == []
    assert await store.read(Session("s")) == ["a", "a"]


async def test_a_deleted_session_frees_its_place(store: InMemoryHistoryStore) -> None:
    await store.append(Session("s"), Event("a"))
    await store.append(Session("t"), Event("a"))
    await store.forget(Session("t"))
    await store.append(Session("u"), Event("a"))
    assert await store.read(Session("s")) == ["a"]
