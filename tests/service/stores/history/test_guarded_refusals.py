"""A store that answers but refuses to write is not lost: histories are read on."""

from collections.abc import Sequence

import anyio
import pytest

from service.errors import HistoryRefusalError, HistoryUnavailableError
from service.stores.event_log.protocol import NotLoggedError
from service.stores.history.guarded import GuardedHistory, StoredHistory
from service.stores.history.memory import InMemoryHistoryStore
from service.stores.history.protocol import Event, Retention, Session

pytestmark = pytest.mark.anyio

PAUSE_SECONDS = 1
RETENTION = Retention(max_length=10, ttl_seconds=60, event_id_seconds=60)


class RefusingStore(InMemoryHistoryStore):
    """An in-memory store that can refuse to write."""

    refuses = False

    async def append(self, session: Session, event: Event) -> Sequence[str]:
        await self.check_write()
        return await super().append(session, event)

    async def forget(self, session: Session, tombstones: Sequence[str] = ()) -> None:
        await self.check_write()
        await super().forget(session, tombstones)

    async def check_write(self) -> None:
        if self.refuses:
            raise HistoryRefusalError("full")


@pytest.fixture
def refusing() -> RefusingStore:
    return RefusingStore(RETENTION, max_sessions=10)


async def test_a_store_that_refuses_events_is_read_on(refusing: RefusingStore) -> None:
    guard = GuardedHistory(refusing, PAUSE_SECONDS)
    await guard.append(Session("s"), Event("a"))
    refusing.refuses = True
    for _ in range(20):
        refused = await guard.append(Session("s"), Event("b"))
        assert refused == StoredHistory(["a", "b"], degraded=True, not_stored="store_refused")
    assert await guard.read(Session("s")) == StoredHistory(["a"])
    assert not guard.is_lost


async def test_a_refused_event_waits_no_longer_than_one_deadline_for_the_events_before_it(
    refusing: RefusingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = refusing.read

    async def read_late(session: Session) -> Sequence[str]:
        await anyio.sleep(0.2)
        return await read(session)

    await refusing.append(Session("s"), Event("a"))
    refusing.refuses = True
    monkeypatch.setattr(refusing, "read", read_late)
    for wait_seconds, expected in ((60, ["a", "b"]), (0.1, ["b"])):
        guard = GuardedHistory(refusing, PAUSE_SECONDS, wait_seconds=wait_seconds)
        assert (await guard.append(Session("s"), Event("b"))).history == expected


async def test_only_a_write_shows_that_writes_work_again(refusing: RefusingStore) -> None:
    guard = GuardedHistory(refusing, PAUSE_SECONDS)
    await guard.append(Session("s"), Event("a"))
    written_at = guard.last_write_at
    refusing.refuses = True
    await guard.append(Session("s"), Event("b"))
    await guard.read(Session("s"))
    assert await guard.is_reachable()
    await guard.probe()
    assert guard.writes_fail
    assert guard.last_write_at == written_at > 0
    refusing.refuses = False
    await guard.probe()
    assert not guard.writes_fail
    assert guard.last_write_at > written_at


async def test_refused_erasures_do_not_lose_the_store(refusing: RefusingStore) -> None:
    guard = GuardedHistory(refusing, PAUSE_SECONDS)
    await guard.append(Session("s"), Event("a"))
    refusing.refuses = True
    for _ in range(6):
        with pytest.raises(HistoryRefusalError, match="full"):
            await guard.forget(Session("s"))
    assert not guard.is_lost
    assert await guard.read(Session("s")) == StoredHistory(["a"])


async def test_probes_whose_writes_are_refused_do_not_lose_the_store(
    refusing: RefusingStore,
) -> None:
    guard = GuardedHistory(refusing, PAUSE_SECONDS)
    refusing.refuses = True
    await guard.append(Session("s"), Event("a"))
    for _ in range(5):  # as many failures would open the circuit breaker
        await guard.probe()
    assert (guard.writes_fail, guard.is_lost) == (True, False)


class FullLogStore(InMemoryHistoryStore):
    """A store that does not answer reads, and whose event log is full."""

    async def append(self, session: Session, event: Event) -> Sequence[str]:
        raise NotLoggedError(await super().append(session, event))

    async def read(self, session: Session) -> Sequence[str]:  # noqa: ARG002 - of the protocol
        raise HistoryUnavailableError("late")


async def test_an_event_that_a_full_log_leaves_out_shows_that_the_store_answers() -> None:
    guard = GuardedHistory(FullLogStore(RETENTION, max_sessions=10), PAUSE_SECONDS)
    for _ in range(2):  # the fifth failure in a row would open the circuit breaker
        for _ in range(4):
            await guard.read(Session("s"))
        await guard.append(Session("s"), Event("a"))
    assert not guard.is_lost
