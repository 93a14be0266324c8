"""The event log is read exactly, whatever lies in its folder."""

from pathlib import Path

import pyarrow as pa
import pytest

from tests.training.event_log import event, impression, tombstone, write
from training.errors import DataError
from training.events.compaction import compact
from training.events.layout import HOUR_MS, Part
from training.events.log_folder import LogFolder
from training.events.reading import Window, newest_hour_end, read_events, read_records


@pytest.fixture
def log(tmp_path: Path) -> LogFolder:
    return LogFolder(str(tmp_path / "log"))


def ids(records: pa.Table, column: str = "event_id") -> list[str]:
    found: list[str] = records[column].to_pylist()
    return found


def test_a_log_without_files_has_no_events(log: LogFolder) -> None:
    assert len(read_events(log)) == 0
    assert newest_hour_end(log) is None


def test_events_are_in_the_order_of_timestamp_and_then_sequence(log: LogFolder) -> None:
    write(log, "event", [event("ann", "a", 20), event("bob", "b", 10, event_id="z", sequence=8)])
    write(log, "event", [event("cay", "c", 10, event_id="y", sequence=9)])

    assert ids(read_events(log)) == ["z", "y", "ann-20"]


def test_an_event_that_two_files_have_counts_once(log: LogFolder) -> None:
    write(log, "event", [event("ann", "a", 1), event("ann", "b", 2)])
    write(log, "event", [event("ann", "b", 2), event("ann", "c", 3)])

    assert read_events(log)["item_id"].to_pylist() == ["a", "b", "c"]


def test_equal_event_ids_of_two_sessions_are_two_events(log: LogFolder) -> None:
    write(log, "event", [event("ann", "a", 1, event_id="x"), event("bob", "a", 2, event_id="x")])

    assert len(read_events(log)) == 2


def test_of_two_copies_the_first_in_the_log_counts(log: LogFolder) -> None:
    write(log, "event", [event("ann", "late", 5, event_id="x", sequence=2)])
    write(log, "event", [event("ann", "first", 5, event_id="x", sequence=1)])

    assert read_events(log)["item_id"].to_pylist() == ["first"]


def test_a_tombstone_erases_earlier_events_of_its_session_only(log: LogFolder) -> None:
    write(log, "event", [event("ann", "a", 1), event("ann", "b", 9), event("bob", "a", 1)])
    write(log, "tombstone", [tombstone(5, session_ref="ann")])

    assert ids(read_events(log)) == ["bob-1", "ann-9"]


def test_an_event_whose_clock_is_ahead_is_erased_by_its_place_in_the_log(log: LogFolder) -> None:
    write(log, "event", [event("ann", "a", 8, sequence=4)])
    write(log, "tombstone", [tombstone(5, session_ref="ann")])

    assert len(read_events(log)) == 0


def test_an_event_after_the_erasure_within_its_millisecond_counts(log: LogFolder) -> None:
    write(log, "event", [event("ann", "a", 5, sequence=4), event("ann", "b", 5, sequence=6)])
    write(log, "tombstone", [tombstone(5, session_ref="ann")])

    assert read_events(log)["item_id"].to_pylist() == ["b"]


def test_a_tombstone_of_another_tenant_erases_nothing(log: LogFolder) -> None:
    write(log, "event", [event("ann", "a", 1)])
    write(log, "tombstone", [tombstone(5, tenant="other", session_ref="ann")])

    assert len(read_events(log)) == 1


def test_a_tombstone_of_a_user_erases_whole_sessions(log: LogFolder) -> None:
    write(log, "event", [event("ann", "a", 1), event("ann", "b", 2, user_ref="u")])
    write(log, "event", [event("bob", "b", 3, user_ref="u"), event("cay", "b", 3, user_ref="v")])
    write(log, "impression", [impression("r1", "ann", 1), impression("r2", "cay", 1)])
    write(log, "tombstone", [tombstone(5, user_ref="u")])

    assert ids(read_events(log)) == ["cay-3"]
    assert ids(read_records(log, "impression"), "recommendation_id") == ["r2"]


def test_a_user_is_erased_from_a_window_that_does_not_name_the_user(log: LogFolder) -> None:
    later = 3 * HOUR_MS
    write(log, "event", [event("ann", "a", 1, user_ref="u"), event("ann", "b", later)])
    write(log, "tombstone", [tombstone(later + 1, user_ref="u")])

    assert ids(read_events(log, Window(begin=HOUR_MS))) == []


def test_an_impression_without_a_session_is_never_erased(log: LogFolder) -> None:
    write(log, "impression", [impression("r1", None, 1), impression("r2", "ann", 1)])
    write(log, "tombstone", [tombstone(5, session_ref="ann")])

    assert ids(read_records(log, "impression"), "recommendation_id") == ["r1"]


def test_a_window_begins_with_its_first_and_ends_before_its_last_moment(log: LogFolder) -> None:
    times = [HOUR_MS - 1, HOUR_MS, 2 * HOUR_MS - 1, 2 * HOUR_MS]
    write(log, "event", [event("ann", "a", time) for time in times])

    found = read_events(log, Window(HOUR_MS, 2 * HOUR_MS))

    assert found["timestamp"].to_pylist() == times[1:3]
    assert newest_hour_end(log) == 3 * HOUR_MS


def test_a_file_that_is_compacted_during_the_reading_is_read_in_its_new_place(
    log: LogFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(log, "event", [event("ann", "a", 1)])
    write(log, "event", [event("ann", "b", 2)])
    read = log.read

    def compact_first(part: Part) -> pa.Table:
        old = log.parts("event")
        if len(old) == 2:
            log.write("event", 0, pa.concat_tables(map(read, old)))
            log.remove(old)
        return read(part)

    monkeypatch.setattr(log, "read", compact_first)

    assert read_events(log)["item_id"].to_pylist() == ["a", "b"]


def test_an_erased_user_stays_so_though_a_compaction_removes_the_events_during_the_reading(
    log: LogFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(log, "event", [event("ann", "a", 1, user_ref="u")])
    write(log, "impression", [impression("r1", "ann", 1), impression("r2", "cay", 1)])
    write(log, "tombstone", [tombstone(5, user_ref="u")])
    read = log.read

    def then_compact(part: Part) -> pa.Table:
        records = read(part)
        if part.kind == "tombstone" and log.parts("event"):
            compact(LogFolder(log.address))
        return records

    monkeypatch.setattr(log, "read", then_compact)

    assert ids(read_records(log, "impression"), "recommendation_id") == ["r2"]


def test_a_damaged_file_is_named(log: LogFolder) -> None:
    write(log, "event", [event("ann", "a", 1)])
    (part,) = log.parts("event")
    path = Path(log.address) / part.path
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(DataError, match=rf"{part.sha256}\.parquet: damaged"):
        read_events(log)


def test_other_files_in_the_folder_are_ignored(log: LogFolder) -> None:
    write(log, "event", [event("ann", "a", 1)])
    (part,) = log.parts("event")
    folder = Path(log.address) / part.folder
    (folder / ".1234.partial").write_bytes(b"half a file")
    (folder / "README.txt").write_text("of another program")

    assert len(read_events(log)) == 1
