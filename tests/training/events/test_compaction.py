"""Compaction merges files, and removes what is erased or old; readers notice nothing else."""

from pathlib import Path

import pyarrow as pa
import pytest

from tests.training.event_log import event, impression, tombstone, write
from training.events.compaction import compact
from training.events.layout import HOUR_MS, KINDS, Part
from training.events.log_folder import LogFolder
from training.events.reading import read_events, read_records

DAY = 24 * HOUR_MS


@pytest.fixture
def log(tmp_path: Path) -> LogFolder:
    return LogFolder(str(tmp_path / "log"))


def content(log: LogFolder) -> bytes:
    """All bytes of the log's Parquet files, uncompressed, and of its other files."""
    found = [path.read_bytes() for path in Path(log.address).rglob("*") if path.is_file()]
    rows = [repr(log.read(part).to_pylist()).encode() for kind in KINDS for part in log.parts(kind)]
    return b"".join(found + rows)


def test_the_files_of_an_hour_become_one_without_copies(log: LogFolder) -> None:
    write(log, "event", [event("ann", "a", 1), event("ann", "b", 2)])
    write(log, "event", [event("ann", "b", 2), event("bob", "c", 3)])
    write(log, "event", [event("ann", "a", HOUR_MS)])
    before = read_events(log)

    report = compact(log)

    assert [part.hour for part in log.parts("event")] == [0, 1]
    assert sum(len(log.read(part)) for part in log.parts("event")) == 4
    assert read_events(log).equals(before)
    assert (report.files_before, report.files_after) == (3, 2)


def test_erased_records_leave_no_byte_in_the_log(log: LogFolder) -> None:
    write(log, "event", [event("v1.ann", "a", 1), event("v1.bob", "a", 1)])
    write(log, "event", [event("v1.ann", "a", DAY, event_id="e-of-ann")])
    write(log, "impression", [impression("r-of-ann", "v1.ann", 1)])
    write(log, "tombstone", [tombstone(2 * DAY, session_ref="v1.ann")])
    assert b"v1.ann" in content(log)

    report = compact(log)

    for secret in (b"v1.ann", b"e-of-ann", b"r-of-ann"):
        assert secret not in content(log)
    assert (report.erased_events, report.erased_impressions, report.tombstones) == (2, 1, 1)
    assert read_events(log)["session_ref"].to_pylist() == ["v1.bob"]
    assert (Path(log.address) / f"reports/compaction-{report.began_at}.json").exists()


def test_events_that_a_late_collector_brings_are_erased_by_the_next_compaction(
    log: LogFolder,
) -> None:
    write(log, "tombstone", [tombstone(5, session_ref="ann")])
    compact(log)
    write(log, "event", [event("ann", "a", 1), event("bob", "a", 1)])
    assert read_events(log)["session_ref"].to_pylist() == ["bob"]

    assert compact(log).erased_events == 1


def test_a_user_is_erased_with_all_sessions_also_in_records_that_come_later(
    log: LogFolder,
) -> None:
    write(log, "event", [event("ann", "a", 1, user_ref="u"), event("bob", "a", DAY, user_ref="u")])
    write(log, "event", [event("cay", "a", 1, user_ref="v")])
    write(log, "tombstone", [tombstone(2 * DAY, user_ref="u")])
    compact(log)
    write(log, "impression", [impression("r1", "bob", DAY), impression("r2", "cay", DAY)])
    write(log, "event", [event("ann", "b", 2)])

    report = compact(log)

    assert (report.erased_events, report.erased_impressions) == (1, 1)
    assert read_events(log)["session_ref"].to_pylist() == ["cay"]
    assert read_records(log, "impression")["recommendation_id"].to_pylist() == ["r2"]


def test_a_second_compaction_changes_and_reads_nothing(
    log: LogFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(log, "event", [event("ann", "a", 1), event("bob", "a", 1)])
    write(log, "tombstone", [tombstone(5, session_ref="ann")])
    compact(log)
    parts = log.parts("event")
    read: list[Part] = []
    read_part = log.read

    def note(part: Part) -> pa.Table:
        read.append(part)
        return read_part(part)

    monkeypatch.setattr(log, "read", note)

    report = compact(log)

    assert log.parts("event") == parts
    assert [part.kind for part in read] == ["tombstone"]
    assert report.erased_events == 0


def test_old_records_are_removed_and_tombstones_a_week_later(log: LogFolder) -> None:
    write(log, "event", [event("ann", "a", 1)])
    write(log, "tombstone", [tombstone(1, session_ref="bob")])

    report = compact(log, keep_days=1)

    assert report.expired_files == 2
    assert (log.parts("event"), log.parts("tombstone")) == ([], [])


def test_a_compaction_that_was_killed_before_it_removed_files_is_finished_by_the_next(
    log: LogFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(log, "event", [event("ann", "a", 1)])
    write(log, "event", [event("ann", "b", 2)])
    before = read_events(log)
    with monkeypatch.context() as dying:
        dying.setattr(LogFolder, "remove", _die)
        with pytest.raises(KeyboardInterrupt):
            compact(log)
    assert len(log.parts("event")) == 3
    assert read_events(log).equals(before)

    compact(log)

    assert len(log.parts("event")) == 1
    assert read_events(log).equals(before)


def _die(_: LogFolder, parts: list[object]) -> None:
    if parts:
        raise KeyboardInterrupt


@pytest.mark.parametrize("note", ["{", "[]", "null"])
def test_a_damaged_note_of_the_last_compaction_costs_only_time(log: LogFolder, note: str) -> None:
    write(log, "event", [event("ann", "a", 1)])
    compact(log)
    (Path(log.address) / "compaction.json").write_text(note)

    assert compact(log).files_after == 1


@pytest.mark.parametrize("files", [1, 2])
def test_an_event_that_is_sent_again_after_its_erasure_counts(log: LogFolder, files: int) -> None:
    first = event("ann", "a", 1, event_id="x")
    again = first | {"received_at": 9, "sequence": 9}
    for rows in [[first, again]] if files == 1 else [[first], [again]]:
        write(log, "event", rows)
    write(log, "tombstone", [tombstone(5, session_ref="ann")])
    assert read_events(log)["sequence"].to_pylist() == [9]

    report = compact(log)

    assert (report.erased_events, report.files_after) == (1, 2)
    assert read_events(log)["sequence"].to_pylist() == [9]
