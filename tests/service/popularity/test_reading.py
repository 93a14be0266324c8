"""Sums of windows, at the Unix time 130,205 s, with a store that counts how often it is asked."""

import asyncio
from collections import Counter

import pytest

from service.popularity.reading import WindowCounts, WindowQuery, WindowReader
from service.stores.counts.memory import MemoryCountStore
from service.stores.counts.protocol import CountKey, Counts, CountsUnavailableError
from service.stores.counts.windows import WINDOWS, Period
from tests.service.waiting import until

pytestmark = pytest.mark.anyio

DAYS = WindowQuery("default", ("click",), WINDOWS["7d"])  # 15 periods, of which the newest is 20


class Clock:
    """A clock that the test sets."""

    now = 20 * 86_400 + 3_600.0

    def __call__(self) -> float:
        return self.now


class AskedStore(MemoryCountStore):
    """A store in memory that counts its reads, and can fail or be slow."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(100, clock)
        self.reads: Counter[int] = Counter()
        self.is_broken = False
        self.answers = asyncio.Event()
        self.answers.set()

    async def read(self, key: CountKey) -> Counts:
        self.reads[key.period.number] += 1
        await self.answers.wait()
        if self.is_broken:
            raise CountsUnavailableError("broken")
        return await super().read(key)

    async def put(self, day: int, kind: str = "click", **counts: int) -> None:
        await self.add(CountKey("default", kind, Period(86_400, day)), counts)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> AskedStore:
    return AskedStore(clock)


@pytest.fixture
def reader(store: AskedStore, clock: Clock) -> WindowReader:
    return WindowReader(store, clock)


def by_item(counts: WindowCounts) -> dict[str, tuple[int, int]]:
    events = zip(counts.now.tolist(), counts.before.tolist(), strict=True)
    return dict(zip(counts.item_ids, events, strict=True))


async def until_read(reader: WindowReader) -> None:
    """Waits for the end of all readings in progress."""
    while reader.is_reading:
        await asyncio.sleep(0)


async def test_periods_are_summed_up_by_window_and_item(
    reader: WindowReader, store: AskedStore
) -> None:
    """The window has the days 13 to 20, the one before 6 to 12."""
    await store.put(20, a=1)
    await store.put(13, a=2, b=3)
    await store.put(12, b=5)
    await store.put(6, c=7)
    await store.put(5, a=11)
    await store.put(20, kind="view", a=13)
    counts, is_stale = await reader.read(DAYS)
    assert by_item(counts) == {"a": (3, 0), "b": (3, 5), "c": (0, 7)}
    assert (counts.begin, counts.all_now, counts.all_before) == (13 * 86_400, 6, 12)
    assert not is_stale
    both, _ = await reader.read(DAYS._replace(event_types=("click", "view")))
    assert by_item(both)["a"] == (16, 0)


async def test_old_periods_are_read_once_a_minute_and_the_running_one_each_second(
    reader: WindowReader, store: AskedStore, clock: Clock
) -> None:
    await reader.read(DAYS)
    await reader.read(DAYS)
    assert store.reads == Counter(range(6, 21))
    clock.now += 1.5
    await store.put(20, a=1)
    assert by_item((await reader.read(DAYS))[0]) == {"a": (1, 0)}
    assert (store.reads[20], store.reads[19]) == (2, 1)
    clock.now += 60
    await reader.read(DAYS)
    assert (store.reads[20], store.reads[19]) == (3, 2)


async def test_old_periods_are_not_all_read_again_at_once(
    reader: WindowReader, store: AskedStore, clock: Clock
) -> None:
    """Eight days in a row are kept for half a minute and 0 to 7 sixteenths of a minute more."""
    await reader.read(DAYS)
    clock.now += 29
    await reader.read(DAYS)
    assert {day for day, reads in store.reads.items() if reads > 1} == {20}
    clock.now += 6
    await reader.read(DAYS)
    assert {day for day, reads in store.reads.items() if reads > 1} == {20, 16, 17, 8, 9}


async def test_a_period_that_has_ended_is_read_once_more(
    reader: WindowReader, store: AskedStore, clock: Clock
) -> None:
    """It was read at the end of the day, before the workers had stored its last events."""
    clock.now = 21 * 86_400 - 3.0
    await reader.read(DAYS)
    await store.put(20, a=1)
    clock.now += 6
    assert by_item((await reader.read(DAYS))[0]) == {"a": (1, 0)}


async def test_requests_at_the_same_time_share_a_reading(
    reader: WindowReader, store: AskedStore
) -> None:
    store.answers.clear()
    asked = [asyncio.create_task(reader.read(DAYS)) for _ in range(3)]
    await asyncio.sleep(0)
    store.answers.set()
    first, *others = await asyncio.gather(*asked)
    assert all(each[0] is first[0] for each in others)
    assert store.reads == Counter(range(6, 21))


async def test_a_store_that_fails_leaves_the_counts_of_before_or_none(
    reader: WindowReader, store: AskedStore, clock: Clock
) -> None:
    await store.put(20, a=1)
    await reader.read(DAYS)
    store.is_broken = True
    clock.now += 2
    counts, is_stale = await reader.read(DAYS)
    assert (by_item(counts), is_stale, reader.is_failing) == ({"a": (1, 0)}, True, True)
    other = DAYS._replace(tenant="other")
    counts, is_stale = await reader.read(other)
    assert (by_item(counts), counts.begin, is_stale) == ({}, 13 * 86_400, True)


async def test_nobody_waits_for_a_store_that_has_failed_and_it_is_found_again(
    reader: WindowReader, store: AskedStore, clock: Clock
) -> None:
    store.is_broken = True
    await reader.read(DAYS)
    store.is_broken = False
    asked = store.reads.total()
    assert (await reader.read(DAYS))[1]
    assert store.reads.total() == asked  # not again within a second
    clock.now += 1
    assert (await reader.read(DAYS))[1]  # begins to read, and does not wait
    while reader.is_failing:
        await asyncio.sleep(0)
    assert not (await reader.read(DAYS))[1]


async def test_a_window_that_could_not_be_read_is_read_again_without_a_request(
    reader: WindowReader, store: AskedStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.is_broken = True
    await reader.read(DAYS)
    reader.retry()
    await until_read(reader)
    assert reader.is_failing
    store.is_broken = False
    reader.retry()
    await until_read(reader)
    assert not reader.is_failing
    assert not (await reader.read(DAYS))[1]
    assert [each.getMessage() for each in caplog.records] == [
        "the counts of events cannot be read: broken",
        "the counts of events are read again",
    ]
    asked = store.reads.total()
    reader.retry()
    await until_read(reader)
    assert store.reads.total() == asked  # nothing fails


async def test_a_late_store_is_not_waited_for(
    reader: WindowReader, store: AskedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.popularity.reading._WAIT_SECONDS", 0.001)
    store.answers.clear()
    assert (await reader.read(DAYS))[1]
    await reader.close()


async def test_a_window_with_counts_of_before_is_answered_with_them_while_the_store_stalls(
    reader: WindowReader, store: AskedStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not late yet, as a window without such counts would still be waited for."""
    monkeypatch.setattr("service.popularity.reading._KNOWN_WAIT_SECONDS", 0.001)
    await store.put(20, a=1)
    await reader.read(DAYS)
    store.answers.clear()
    clock.now += 2
    counts, is_stale = await reader.read(DAYS)
    assert (by_item(counts), is_stale, reader.is_failing) == ({"a": (1, 0)}, True, False)
    await reader.close()


async def test_a_window_that_nobody_waits_for_any_more_becomes_late(
    reader: WindowReader, store: AskedStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await reader.read(DAYS)
    monkeypatch.setattr("service.popularity.reading._KNOWN_WAIT_SECONDS", 0.001)
    monkeypatch.setattr("service.popularity.reading._WAIT_SECONDS", 0.01)
    store.answers.clear()
    clock.now += 2
    await reader.read(DAYS)
    await until(lambda: reader.is_failing)
    store.answers.set()
    await until(lambda: not reader.is_failing)


async def test_requests_that_wait_for_a_reading_are_counted(
    reader: WindowReader, store: AskedStore
) -> None:
    store.answers.clear()
    asked = [asyncio.create_task(reader.read(DAYS)) for _ in range(3)]
    await asyncio.sleep(0)
    assert reader.waiting.number == 3
    store.answers.set()
    await asyncio.gather(*asked)
    assert reader.waiting.number == 0


async def test_the_next_request_after_a_late_answer_is_answered_from_the_store(
    reader: WindowReader, store: AskedStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes before the pause after the failure is over, which the late answer ends."""
    monkeypatch.setattr("service.popularity.reading._WAIT_SECONDS", 0.001)
    store.answers.clear()
    asked = asyncio.create_task(reader.read(DAYS))
    while not store.reads:
        await asyncio.sleep(0)
    clock.now += 2
    assert (await asked)[1]
    store.answers.set()
    while reader.is_failing:
        await asyncio.sleep(0)
    monkeypatch.undo()
    monkeypatch.setattr("service.popularity.reading._REST", 0)
    await store.put(20, a=1)
    counts, is_stale = await reader.read(DAYS)
    assert (by_item(counts), is_stale) == ({"a": (1, 0)}, False)


async def test_a_late_window_does_not_hold_up_others(
    reader: WindowReader, store: AskedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.popularity.reading._WAIT_SECONDS", 0.001)
    await store.put(20, a=1)
    store.answers.clear()
    assert (await reader.read(DAYS._replace(tenant="slow")))[1]
    assert reader.is_failing
    monkeypatch.undo()
    other = asyncio.create_task(reader.read(DAYS))
    await asyncio.sleep(0)
    store.answers.set()
    counts, is_stale = await other
    assert (by_item(counts), is_stale) == ({"a": (1, 0)}, False)
    await until_read(reader)
    assert not reader.is_failing


async def test_a_window_rests_for_ten_times_as_long_as_its_reading_took(
    reader: WindowReader, store: AskedStore, clock: Clock
) -> None:
    """Reading takes half a second, so that the counts are kept for five, not for one."""
    store.answers.clear()
    asked = asyncio.create_task(reader.read(DAYS))
    while not store.reads:
        await asyncio.sleep(0)
    clock.now += 0.5
    store.answers.set()
    await asked
    began = clock.now - 0.5
    for seconds, number_read in ((4.9, 1), (5.1, 2)):
        clock.now = began + seconds
        await reader.read(DAYS)
        assert store.reads[20] == number_read


async def test_events_of_items_that_were_cut_count_in_the_number_of_all_events(
    clock: Clock,
) -> None:
    """Two items of three are kept. Each has a third of the events, 12 and 6, both times."""
    store = MemoryCountStore(2, clock)
    for day, times in ((20, 2), (12, 1)):
        key = CountKey("default", "click", Period(86_400, day))
        await store.add(key, dict.fromkeys("abc", 2 * times))
    counts, _ = await WindowReader(store, clock).read(DAYS)
    assert by_item(counts) == {"b": (4, 2), "c": (4, 2)}
    assert (counts.all_now, counts.all_before) == (12, 6)


async def test_little_is_kept_of_many_windows(
    reader: WindowReader, store: AskedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No limit changes an answer: neither of periods, nor of windows, nor of item ids."""
    for name in ("_MAX_PERIODS", "_MAX_WINDOWS", "_MAX_IDS"):
        monkeypatch.setattr(f"service.popularity.reading.{name}", 1)
    for day in (20, 12):
        await store.put(day, a=1, b=2)
    for tenant in ("default", "other", "default"):
        counts, _ = await reader.read(DAYS._replace(tenant=tenant))
        expected = {"a": (1, 1), "b": (2, 2)} if tenant == "default" else {}
        assert by_item(counts) == expected
