"""A file of the event log is named by its content, and is whole or absent."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.training.event_log import event
from training.errors import DataError
from training.events.layout import hour_of, part_of, partition_folder
from training.events.log_folder import LogFolder
from training.events.schema import table_of

ROWS = table_of("event", [event("ann", "a", 1), event("bob", "b", 2)])


def test_equal_records_in_any_order_have_the_same_file(tmp_path: Path) -> None:
    log = LogFolder(str(tmp_path))

    first = log.write("event", 0, ROWS)
    second = log.write("event", 0, ROWS.take([1, 0]))

    assert first == second
    assert log.parts("event") == [first]


def test_a_partition_is_a_day_and_an_hour_in_utc() -> None:
    hour = hour_of(1_700_000_000_000)  # 2023-11-14 22:13:20 UTC

    assert partition_folder("event", hour) == "event/date=2023-11-14/hour=22"


@pytest.mark.parametrize(("milliseconds", "date"), [(-5, "1970-01-01"), (2**53, "9955-07-25")])
def test_a_time_beyond_the_calendar_has_a_partition_too(milliseconds: int, date: str) -> None:
    assert f"date={date}" in partition_folder("event", hour_of(milliseconds))


def test_a_path_of_a_part_is_read_back(tmp_path: Path) -> None:
    part = LogFolder(str(tmp_path)).write("event", 472_222, ROWS)

    assert part_of(part.path) == part


def test_an_impossible_date_in_a_path_is_an_error() -> None:
    with pytest.raises(DataError, match="2023-02-30 is not a date"):
        part_of(f"event/date=2023-02-30/hour=01/part-{'0' * 64}.parquet")


def test_a_log_in_an_object_store_works_like_a_folder() -> None:
    log = LogFolder("memory://log")

    part = log.write("event", 0, ROWS)

    assert LogFolder("memory://log").parts("event") == [part]
    assert log.read(part).equals(ROWS)
    log.remove([part])
    assert log.parts("event") == []


def test_an_address_of_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(DataError, match="nowhere://x: cannot be opened"):
        LogFolder("nowhere://x")


def test_a_file_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogFolder(str(tmp_path))
    part = log.write("event", 0, ROWS)

    def refuse(_: str) -> bytes:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(log._files, "cat_file", refuse)

    with pytest.raises(DataError, match=rf"{part.path}: cannot be read: Access Denied"):
        log.read(part)


def test_a_folder_that_a_compaction_removes_before_it_has_a_file_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir, removed = Path.mkdir, list[Path]()

    def remove_once(folder: Path, *options: Any, **more: Any) -> None:
        mkdir(folder, *options, **more)
        if not removed and folder.name.startswith("hour="):
            removed.append(folder)
            folder.rmdir()

    monkeypatch.setattr(Path, "mkdir", remove_once)
    log = LogFolder(str(tmp_path))

    part = log.write("event", 0, ROWS)

    assert removed
    assert log.parts("event") == [part]


def test_an_emptied_partition_has_no_folder(tmp_path: Path) -> None:
    log = LogFolder(str(tmp_path))
    log.remove([log.write("event", 0, ROWS)])

    assert list((tmp_path / "event").iterdir()) == []


def test_only_old_temporary_files_are_leftovers(tmp_path: Path) -> None:
    log = LogFolder(str(tmp_path))
    folder = tmp_path / log.write("event", 0, ROWS).folder
    old, new = folder / ".1.partial", folder / ".2.partial"
    old.touch()
    new.touch()
    os.utime(old, (0, 0))

    log.remove_leftovers()

    assert (old.exists(), new.exists()) == (False, True)
