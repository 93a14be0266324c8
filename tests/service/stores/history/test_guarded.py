from collections.abc import Sequence

import anyio
import pytest

from service.background import in_background
from service.errors import HistoryUnavailableError
from service.stores.history.guarded import GuardedHistory, StoredHistory
from service.stores.history.memory import InMemoryHistoryStore
from service.stores.history.protocol import Event, Retention, Session
from tests.service.conftest import PATIENCE_SECONDS

pytestmark = pytest.mark.anyio

PAUSE_SECONDS = 1


class LosableStore(InMemoryHistoryStore):
    """An in-memory store that can be lost, and counts its calls."""

    lost = False
    calls = 0

    async def append(self, session: Session, event: Event) -> Sequence[str]:
        self._count_call()
        return await super().append(session, event)

    async def read(self, session: Session) -> Sequence[str]:
        self._count_call()
        return await super().read(session)

    async def forget(self, session: Session, tombstones: Sequence[str] = ()) -> None:
        self._count_call()
        await super().forget(session, tombstones)

    async def ping(self) -> None:
        self._count_call()

    def _count_call(self) -> None:
        self.calls += 1
        if self.lost:
            raise HistoryUnavailableError("lost")


@pytest.fixture
def store() -> LosableStore:
    return LosableStore(
        Retention(max_length=10, ttl_seconds=60, event_id_seconds=60), max_sessions=10
    )


@pytest.fixture
def time() -> list[float]:
    """The guard's clock in seconds, which a test sets."""
    return [0.0]


@pytest.fixture
def guard(store: LosableStore, time: list[float]) -> GuardedHistory:
    return GuardedHistory(store, PAUSE_SECONDS, lambda: time[0])


async def fail_until_open(guard: GuardedHistory, store: LosableStore) -> None:
    store.lost = True
    for _ in range(5):
        await guard.read(Session("s"))


async def test_a_store_that_works_is_passed_through(guard: GuardedHistory) -> None:
    assert await guard.append(Session("s"), Event("a")) == StoredHistory(["a"], degraded=False)
    assert await guard.read(Session("s")) == StoredHistory(["a"], degraded=False)
    await guard.forget(Session("s"))
    assert await guard.read(Session("s")) == StoredHistory([], degraded=False)


async def test_without_the_store_the_history_is_the_event_only(
    guard: GuardedHistory, store: LosableStore
) -> None:
    await guard.append(Session("s"), Event("a"))
    store.lost = True
    assert await guard.append(Session("s"), Event("b")) == StoredHistory(
        ["b"], degraded=True, not_stored="store_unavailable"
    )
    assert await guard.read(Session("s")) == StoredHistory([], degraded=True)


async def test_a_failed_deletion_is_an_error(guard: GuardedHistory, store: LosableStore) -> None:
    store.lost = True
    with pytest.raises(HistoryUnavailableError):
        await guard.forget(Session("s"))


async def test_a_store_that_keeps_failing_is_not_asked_for_a_while(
    guard: GuardedHistory, store: LosableStore
) -> None:
    await fail_until_open(guard, store)
    calls = store.calls
    assert await guard.append(Session("s"), Event("a")) == StoredHistory(
        ["a"], degraded=True, not_stored="store_unavailable"
    )
    assert store.calls == calls


async def test_failures_with_a_success_between_cause_no_pause(
    guard: GuardedHistory, store: LosableStore
) -> None:
    for lost in [True, True, True, True, False, True]:
        store.lost = lost
        await guard.read(Session("s"))
    store.lost = False
    assert await guard.read(Session("s")) == StoredHistory([], degraded=False)


async def test_no_request_probes_a_lost_store_even_after_the_pause(
    guard: GuardedHistory, store: LosableStore, time: list[float]
) -> None:
    await fail_until_open(guard, store)
    time[0] = 10 * PAUSE_SECONDS
    calls = store.calls
    for _ in range(3):
        await guard.read(Session("s"))
        await guard.append(Session("s"), Event("a"))
    assert store.calls == calls
    await guard.probe()
    assert store.calls == calls + 1
    assert guard.is_lost


async def test_a_store_that_is_back_is_used_again_after_the_pause(store: LosableStore) -> None:
    guard = GuardedHistory(store, pause_seconds=0.02)
    await fail_until_open(guard, store)
    store.lost = False
    assert (await guard.read(Session("s"))).degraded
    async with in_background(guard.follow()):
        with anyio.fail_after(PATIENCE_SECONDS):
            while guard.is_lost:
                await anyio.sleep(0.01)
    assert not (await guard.read(Session("s"))).degraded


async def test_writes_fail_while_the_store_is_lost(
    guard: GuardedHistory, store: LosableStore
) -> None:
    await fail_until_open(guard, store)
    await guard.append(Session("s"), Event("a"))
    assert guard.writes_fail
    store.lost = False
    await guard.probe()
    assert not guard.writes_fail


async def test_a_probe_that_finds_the_store_back_ends_the_pause(
    guard: GuardedHistory, store: LosableStore
) -> None:
    await fail_until_open(guard, store)
    assert not await guard.is_reachable()
    store.lost = False
    assert await guard.is_reachable()
    assert not (await guard.read(Session("s"))).degraded


async def test_losing_the_store_is_logged_once(
    guard: GuardedHistory, store: LosableStore, caplog: pytest.LogCaptureFixture
) -> None:
    await fail_until_open(guard, store)
    await guard.is_reachable()
    store.lost = False
    await guard.is_reachable()
    assert [record.message for record in caplog.records] == [
        "the history store is lost, answering without it: lost",
        "the history store is back",
    ]


class GatedStore(LosableStore):
    """A store whose reads wait for a gate to open."""

    def __init__(self) -> None:
        super().__init__(
            Retention(max_length=10, ttl_seconds=60, event_id_seconds=60), max_sessions=10
        )
        self.gate = anyio.Event()

    async def read(self, session: Session) -> Sequence[str]:
        await self.gate.wait()
        return await super().read(session)


async def test_concurrent_failures_count_once(time: list[float]) -> None:
    """All commands that wait on one connection fail with it."""
    store = GatedStore()
    guard = GuardedHistory(store, PAUSE_SECONDS, lambda: time[0])
    store.lost = True
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(guard.read, Session("s"))
        await anyio.wait_all_tasks_blocked()
        time[0] = 0.1
        store.gate.set()
    assert not guard.is_lost
    for _ in range(4):
        await guard.read(Session("s"))
    assert guard.is_lost


class PartedStore(LosableStore):
    """A store of two parts, of which that of the sessions `a…` can be lost."""

    num_parts = 2

    def part_of(self, ref: str) -> int:
        return int(ref.startswith("a"))

    async def read(self, session: Session) -> Sequence[str]:
        return await super().read(session) if self.part_of(session.ref) else []

    async def append(self, session: Session, event: Event) -> Sequence[str]:
        return await super().append(session, event) if self.part_of(session.ref) else ["b"]

    async def ping_part(self, part: int) -> None:
        if part:
            self._count_call()


async def test_a_lost_part_is_not_asked_and_the_other_part_is(
    time: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    store = PartedStore(Retention(10, 60, 60), max_sessions=10)
    guard = GuardedHistory(store, PAUSE_SECONDS, lambda: time[0])
    store.lost = True
    for _ in range(5):  # in a row for its part, not for the store
        assert (await guard.read(Session("ann"))).degraded
        assert not (await guard.read(Session("bob"))).degraded
    calls = store.calls
    assert (await guard.append(Session("ann"), Event("x"))).not_stored == "store_unavailable"
    assert (guard.is_lost, store.calls) == (True, calls)
    assert not (await guard.append(Session("bob"), Event("b"))).degraded
    assert guard.writes_fail  # those of the lost part
    assert not await guard.is_reachable()
    store.lost = False
    await guard.probe()
    assert (guard.is_lost, guard.writes_fail) == (False, False)
    assert not (await guard.read(Session("ann"))).degraded
    assert [record.message for record in caplog.records] == [
        "a part of the history store is lost, answering without it: lost",
        "an event could not be stored: a part of the history store failed repeatedly and is not "
        "asked until it answers a probe",
        "a part of the history store is back",
        "the history store can be written again",
    ]


class ManyParts(LosableStore):
    """A store in which each session has a part of its own."""

    num_parts = 64

    def part_of(self, ref: str) -> int:
        return int(ref)


async def test_a_store_that_is_lost_as_a_whole_is_not_asked_for_any_part(
    time: list[float],
) -> None:
    store = ManyParts(Retention(10, 60, 60), max_sessions=10)
    guard = GuardedHistory(store, PAUSE_SECONDS, lambda: time[0])
    store.lost = True
    for ref in [*range(40), *range(23)]:
        await guard.read(Session(str(ref)))
    assert not guard.is_lost
    await guard.read(Session("63"))  # the 64th failure in a row
    assert guard.is_lost
    calls = store.calls
    for ref in range(64):
        assert (await guard.read(Session(str(ref)))).degraded
    assert store.calls == calls
    store.lost = False
    await guard.probe()
    assert not guard.is_lost
