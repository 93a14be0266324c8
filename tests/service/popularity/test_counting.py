"""Counting of events, at a time on 2 January 1970 that begins no period."""

import asyncio
import json
from collections.abc import Mapping

import pytest

from export.contract.log.events import Event, text_of_entry
from service.popularity.counting import EventCounts
from service.stores.counts.memory import MemoryCountStore
from service.stores.counts.protocol import CountKey, Counts, CountsUnavailableError
from service.stores.counts.windows import SHORTEST_SECONDS, Period

pytestmark = pytest.mark.anyio

NOW = 130_205.0
PERIODS = (Period(600, 217), Period(3_600, 36), Period(86_400, 1))


class BrokenStore(MemoryCountStore):
    """A store that fails until it is mended."""

    is_broken = True

    async def add(self, key: CountKey, counts: Mapping[str, int]) -> None:
        if self.is_broken:
            raise CountsUnavailableError("broken")
        await super().add(key, counts)


class LamedStore(MemoryCountStore):
    """A store that fails for the shortest periods."""

    async def add(self, key: CountKey, counts: Mapping[str, int]) -> None:
        if key.period.seconds == SHORTEST_SECONDS:
            raise CountsUnavailableError("lost")
        await super().add(key, counts)


class StalledStore(MemoryCountStore):
    """A store in which additions wait until they are given up."""

    asked = 0
    waiting: tuple["asyncio.Future[None]", ...] = ()

    async def add(self, *_: object) -> None:
        self.asked += 1
        self.waiting += (asyncio.get_running_loop().create_future(),)
        await self.waiting[-1]

    async def until_asked(self, times: int) -> None:
        while self.asked < times:
            await asyncio.sleep(0)

    def give_up(self) -> None:
        for each in self.waiting:
            if not each.done():
                each.set_exception(CountsUnavailableError("no answer in time"))

    @property
    def is_done(self) -> bool:
        return all(each.done() for each in self.waiting)


def text(item_id: str, at: float = NOW, tenant: str = "default", kind: str = "click") -> str:
    event = Event(1, "e", tenant, "ref", kind, item_id, round(at * 1000), round(NOW * 1000))
    return text_of_entry([event])


def counts_on(store: MemoryCountStore, known: str = "abc") -> EventCounts:
    return EventCounts(store, lambda item_id: item_id in known, lambda: NOW)


def stored() -> MemoryCountStore:
    return MemoryCountStore(100, lambda: NOW)


async def test_an_event_counts_in_a_period_of_each_length() -> None:
    store = stored()
    counts = counts_on(store)
    for item_id in "aab":
        counts.note(text(item_id))
    await counts.flush()
    for each in PERIODS:
        assert await store.read(CountKey("default", "click", each)) == (3, {"a": 2, "b": 1})


async def test_an_event_counts_at_its_own_time_if_a_window_still_needs_it() -> None:
    """Half an hour ago is in another period of ten minutes; three hours ago in none."""
    store = stored()
    counts = counts_on(store)
    counts.note(text("a", NOW - 1_800))
    counts.note(text("b", NOW - 3 * 3_600))
    await counts.flush()
    of_default = {each: await store.read(CountKey("default", "click", each)) for each in PERIODS}
    none, both = Counts(0, {}), Counts(2, {"a": 1, "b": 1})
    assert of_default == {PERIODS[0]: none, PERIODS[1]: none, PERIODS[2]: both}
    assert await store.read(CountKey("default", "click", Period(600, 214))) == (1, {"a": 1})
    assert await store.read(CountKey("default", "click", Period(3_600, 33))) == (1, {"b": 1})


async def test_tenants_and_types_are_counted_apart() -> None:
    store = stored()
    counts = counts_on(store)
    counts.note(text("a", tenant="x"))
    counts.note(text("a", kind="purchase"))
    await counts.flush()
    for tenant, kind, number in (("x", "click", 1), ("default", "purchase", 1), ("x", "view", 0)):
        found = await store.read(CountKey(tenant, kind, PERIODS[0]))
        assert found.total == found.by_item.get("a", 0) == number


async def test_items_that_no_catalog_has_are_not_counted() -> None:
    store = stored()
    counts = counts_on(store, known="a")
    for item_id in ("a", "made up"):
        counts.note(text(item_id))
    await counts.flush()
    assert await store.read(CountKey("default", "click", PERIODS[0])) == (1, {"a": 1})


async def test_numbers_that_cannot_be_stored_are_dropped_and_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = BrokenStore(100, lambda: NOW)
    counts = counts_on(store)
    for _ in range(2):
        counts.note(text("a"))
        await counts.flush()
        assert counts.is_failing
    await counts.flush()  # tries again, though no event waits
    assert counts.is_failing
    store.is_broken = False
    await counts.flush()
    assert not counts.is_failing
    counts.note(text("b"))
    await counts.flush()
    assert await store.read(CountKey("default", "click", PERIODS[0])) == (1, {"b": 1})
    assert [each.getMessage() for each in caplog.records] == [
        "events cannot be counted: broken",
        "events are counted again",
    ]


async def test_what_can_be_stored_is_counted_beside_a_failure() -> None:
    """As in a cluster that has lost a node: only the periods of ten minutes lie on it."""
    store = LamedStore(100, lambda: NOW)
    counts = counts_on(store)
    for number in (1, 2):
        counts.note(text("a"))
        await counts.flush()
        found = [await store.read(CountKey("default", "click", each)) for each in PERIODS]
        assert found == [(0, {}), (number, {"a": number}), (number, {"a": number})]
        assert counts.is_failing
    await counts.flush()
    assert counts.is_failing


async def test_a_failure_is_told_before_the_other_keys_have_been_waited_for() -> None:
    """As where Redis stalls: each key waits for seconds, but all that are left at the same time."""
    store = StalledStore(100, lambda: NOW)
    counts = counts_on(store)
    for tenant in "xyz":
        counts.note(text("a", tenant=tenant))
    flushing = asyncio.create_task(counts.flush())
    await store.until_asked(1)
    assert not counts.is_failing
    store.give_up()
    await store.until_asked(9)
    assert counts.is_failing
    store.give_up()
    await flushing
    assert store.is_done


async def test_no_more_events_wait_than_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.popularity.counting._MAX_WAITING", 2)
    store = stored()
    counts = counts_on(store)
    for item_id in "abc":
        counts.note(text(item_id))
    await counts.flush()
    assert await store.read(CountKey("default", "click", PERIODS[0])) == (2, {"a": 1, "b": 1})


async def test_other_work_runs_while_many_events_are_counted() -> None:
    """Within 1,000 events the event loop has five turns for others."""
    counts, turns = counts_on(stored()), 0

    async def work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    for _ in range(1_000):
        counts.note(text("a"))
    other = asyncio.create_task(work())
    await counts.flush()
    other.cancel()
    assert turns >= 5


async def test_the_text_of_an_event_is_read_as_the_log_writes_it() -> None:
    """The fields are read by their places, which the contract of the log fixes."""
    row = json.loads(text("a"))
    assert row[:8] == ["e", 1, "e", "default", "ref", "click", "a", 130_205_000]
