"""The collector moves each record to the log, whatever is killed in between."""

import pytest

from distilled_recommender.collector import collector
from distilled_recommender.collector.collector import Collector, FlushLimits
from distilled_recommender.collector.source import Source, SourceError
from tests.command.collector.conftest import (
    Entries,
    Streams,
    click,
    erased,
    ids,
    run,
    shown,
    until,
)
from tests.conftest import RedisServer
from training.events.log_folder import LogFolder
from training.events.reading import read_records

AT_ONCE = FlushLimits(max_records=1_000, max_seconds=0)
NEVER = FlushLimits(max_records=1_000, max_seconds=3_600)


async def collect(source: Source, log: LogFolder, limits: FlushLimits = AT_ONCE) -> Collector:
    """Collects until the source is empty, and closes it."""
    collector = Collector(source, log, limits, print)
    try:
        while await collector.step():
            pass
    finally:
        await source.aclose()
    return collector


def collect_until_empty(entries: Entries, log: LogFolder) -> None:
    """Collects also what other collectors have taken; NATS delivers it again after a second."""

    def is_empty() -> bool:
        run(collect(entries.source(claim_seconds=0), log))
        return entries.lengths() == (0, 0)

    until(is_empty)


def test_all_kinds_of_records_of_all_streams_are_collected(
    entries: Entries, log: LogFolder
) -> None:
    entries.add(click("ann", 1))
    entries.add(click("ann", 2), stream=63)
    entries.add(shown("ann", "r1"), shown(None, "r2"), stream=7)
    entries.add(erased(1, "bob"))

    run(collect(entries.source(), log))

    assert ids(log) == ["ann-1", "ann-2"]
    assert len(read_records(log, "impression")) == 2
    assert len(log.parts("tombstone")) == 1
    assert entries.lengths() == (0, 0)


def test_the_sequence_of_an_event_is_its_place_in_the_stream(
    entries: Entries, log: LogFolder
) -> None:
    entries.add(click("ann", 5, event_id="first"))
    entries.add(click("ann", 5, event_id="second"))

    run(collect(entries.source(), log))

    assert ids(log) == ["first", "second"]


def test_entries_stay_in_the_source_until_their_records_are_on_the_disk(
    entries: Entries, log: LogFolder
) -> None:
    entries.add(click("ann", 1))

    run(collect(entries.source(), log, NEVER))

    assert log.parts("event") == []
    assert entries.lengths() == (1, 1)


def test_what_a_dead_collector_has_taken_is_collected_by_another(
    entries: Entries, log: LogFolder
) -> None:
    entries.add(click("ann", 1))
    run(collect(entries.source(), log, NEVER))  # it dies here

    run(collect(entries.source(claim_seconds=60), log))
    assert ids(log) == []
    collect_until_empty(entries, log)
    assert ids(log) == ["ann-1"]


def test_records_that_were_written_and_not_removed_count_once(
    entries: Entries, log: LogFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        entries.add(click("ann", number))
    with monkeypatch.context() as dying:
        dying.setattr(type(entries.source()), "remove", _die)
        with pytest.raises(SourceError):
            run(collect(entries.source(), log))
    entries.add(click("ann", 3))  # another batch, and so another file

    collect_until_empty(entries, log)

    assert len(log.parts("event")) == 2
    assert ids(log) == ["ann-0", "ann-1", "ann-2", "ann-3"]


async def _die(*_: object) -> None:
    raise SourceError("killed")


def test_an_entry_that_was_trimmed_after_its_collector_died_stops_nobody(
    streams: Streams, log: LogFolder
) -> None:
    streams.add(click("ann", 1))
    run(collect(streams.source(), log, NEVER))
    streams.add(click("ann", 2))
    streams.client.xtrim("events:{00}", maxlen=1, approximate=False)

    run(collect(streams.source(claim_seconds=0), log))

    assert ids(log) == ["ann-2"]
    assert streams.lengths()[0] == 0


def test_an_unreadable_entry_stays_and_does_not_stop_others(
    streams: Streams, log: LogFolder
) -> None:
    streams.client.xadd("events:{00}", {"r": '["e",2,"of a later version"]'})
    streams.add(click("ann", 1))
    said: list[str] = []

    async def collect_and_listen() -> None:
        collector = Collector(streams.source(), log, AT_ONCE, said.append)
        await collector.step()
        await collector.source.aclose()

    run(collect_and_listen())

    assert ids(log) == ["ann-1"]
    assert streams.lengths() == (1, 1)
    assert "Event with 2 values, expected 11" in said[0]


def test_beyond_a_limit_unreadable_entries_are_counted_and_only_the_limit_is_told(
    streams: Streams, log: LogFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of five entries are told. The first step reads all and claims all, the second claims.

    So the two are counted once, and the three others at three deliveries.
    """
    monkeypatch.setattr(collector, "_MAX_REMEMBERED", 2)
    for _ in range(5):
        streams.client.xadd("events:{00}", {"r": '["e",2,"of a later version"]'})
    said: list[str] = []
    counts: list[int] = []

    async def take_twice() -> None:
        taking = Collector(streams.source(claim_seconds=0), log, NEVER, said.append)
        for _ in range(2):
            await taking.step()
            counts.append(taking.num_unreadable)
        await taking.source.aclose()

    run(take_twice())

    first, second, limit = said
    assert first != second
    assert all(each.startswith("not collected: events:{00}: entry ") for each in (first, second))
    assert limit.startswith("not collected: 2 entries cannot be read; further ones are counted")
    assert counts == [8, 11]


def test_many_records_are_written_before_their_time(entries: Entries, log: LogFolder) -> None:
    for number in range(3):
        entries.add(click("ann", number))

    run(collect(entries.source(), log, FlushLimits(max_records=3, max_seconds=3_600)))

    assert len(ids(log)) == 3


def test_a_lost_redis_is_an_error_of_the_source(mortal_redis: RedisServer, log: LogFolder) -> None:
    streams = Streams(mortal_redis)
    mortal_redis.kill()

    with pytest.raises(SourceError, match="Redis: ConnectionError"):
        run(collect(streams.source(), log))


def test_a_redis_that_has_lost_its_streams_is_collected_again(
    streams: Streams, log: LogFolder
) -> None:
    async def lose_and_collect() -> None:
        collector = Collector(streams.source(), log, AT_ONCE, print)
        await collector.step()
        streams.server.flush()
        streams.add(click("ann", 1))
        for _ in range(2):
            await collector.step()
        await collector.source.aclose()

    run(lose_and_collect())

    assert ids(log) == ["ann-1"]
