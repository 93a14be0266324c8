import time

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


async def test_of_a_user_only_stored_sessions_are_found(
    store: InMemoryHistoryStore, clock: Clock
) -> None:
    for ref in "stu":  # one more than there is room for
        await store.append(Session(ref), Event("a", user_ref="ann"))
    assert await store.sessions_of("ann") == ["t", "u"]
    await store.forget(Session("t"))
    assert await store.sessions_of("ann") == ["u"]
    clock.now = 60
    await store.append(Session("v"), Event("a"))  # drops what has expired
    assert await store.sessions_of("ann") == []


async def test_a_session_whose_place_was_lost_is_found_again_after_its_next_event(
    store: InMemoryHistoryStore,
) -> None:
    for ref in "stus":
        await store.append(Session(ref), Event("a", user_ref="ann"))
    assert sorted(await store.sessions_of("ann")) == ["s", "u"]


async def test_an_erased_user_leaves_sessions_to_their_other_users(
    store: InMemoryHistoryStore,
) -> None:
    for user_ref in ("ann", "ben"):
        await store.append(Session("s"), Event("a", user_ref=user_ref))
    await store.forget_user("ann", None)
    assert (await store.sessions_of("ann"), await store.sessions_of("ben")) == ([], ["s"])


async def seconds_to_erase(num_others: int) -> float:
    """The least CPU time of 20 erasures of a user with one session, beside other sessions."""
    store = InMemoryHistoryStore(Retention(10, 60, 60), 2 * num_others)
    for number in range(num_others):
        await store.append(Session(f"s{number}"), Event("a", user_ref=f"u{number}"))
    taken = []
    for _ in range(20):
        await store.append(Session("s"), Event("a", user_ref="ann"))
        began = time.thread_time()
        for ref in await store.sessions_of("ann"):
            await store.forget(Session(ref))
        await store.forget_user("ann", None)
        taken.append(time.thread_time() - began)
    return min(taken)


async def test_erasing_a_user_takes_no_longer_beside_a_hundred_times_as_many_sessions() -> None:
    assert await seconds_to_erase(10_000) < 10 * await seconds_to_erase(100)
