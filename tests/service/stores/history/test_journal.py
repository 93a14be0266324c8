"""The journal's files. Real files, and a real full disk where the machine has /dev/full."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from export.contract.log.segments import SegmentWriter
from export.contract.log.worker_folders import make_folder
from service.stores.group_commit import DiskError, DiskFullError
from service.stores.history.journal import Journal
from service.stores.history.journal_records import Record, read_records
from service.stores.worker_segments import SEGMENT_BYTES

pytestmark = pytest.mark.anyio

MAX_BYTES = 4 * SEGMENT_BYTES


def record(number: int, text: str = "") -> Record:
    return Record("v1.ann", f"item {number}{text}", f"e{number}", number)


@asynccontextmanager
async def opened(path: Path, max_bytes: int = MAX_BYTES) -> AsyncIterator[Journal]:
    journal = Journal(path, max_bytes)
    yield journal
    await journal.close()


async def replayed(journal: Journal) -> list[Record]:
    found: list[Record] = []

    async def store(each: Record) -> None:
        found.append(each)

    await journal.replay(store)
    return found


def segments(path: Path) -> list[Path]:
    return sorted(path.glob("*/*.log"))


async def test_records_are_replayed_once_in_their_order(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        for number in range(3):
            await journal.append(record(number))
        assert journal.num_waiting == 3
        assert await replayed(journal) == [record(0), record(1), record(2)]
        assert await replayed(journal) == []
        assert journal.num_waiting == 0
    assert list(tmp_path.iterdir()) == []


async def test_records_that_arrive_together_share_a_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[int] = []
    write = SegmentWriter.write

    def count(self: SegmentWriter, data: bytes) -> None:
        writes.append(len(data))
        write(self, data)

    monkeypatch.setattr(SegmentWriter, "write", count)
    async with opened(tmp_path) as journal:
        await asyncio.gather(*(journal.append(record(number)) for number in range(20)))
        assert len(await replayed(journal)) == 20
    assert len(writes) <= 2


async def test_a_record_is_in_its_file_before_it_is_acknowledged(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.append(record(1))
        (path,) = segments(tmp_path)
        assert read_records(path) == ([record(1)], False)


async def test_what_could_not_be_stored_stays_for_the_next_replay(tmp_path: Path) -> None:
    async def fail(_: Record) -> None:
        raise ConnectionError

    async with opened(tmp_path) as journal:
        await journal.append(record(1))
        with pytest.raises(ConnectionError):
            await journal.replay(fail)
        await journal.append(record(2))
        assert await replayed(journal) == [record(1), record(2)]


async def test_the_records_of_a_worker_that_has_ended_are_taken_over(tmp_path: Path) -> None:
    async with opened(tmp_path) as ended:
        await ended.append(record(1))
    async with opened(tmp_path) as journal:
        await journal.append(record(2))
        assert await replayed(journal) == [record(1), record(2)]
    assert list(tmp_path.iterdir()) == []


async def test_of_two_workers_one_counts_the_records_of_a_worker_that_has_ended(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as ended:
        await ended.append(record(1))
    async with opened(tmp_path) as one, opened(tmp_path) as other:
        await one.append(record(2))
        await one.take_over()
        await other.take_over()
        assert (one.num_waiting, other.num_waiting) == (2, 0)
        await replayed(one)
        assert one.num_waiting == 0


async def test_records_that_were_taken_over_are_left_to_others_when_the_worker_ends(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as ended:
        await ended.append(record(1))
    async with opened(tmp_path) as journal:
        await journal.take_over()
    async with opened(tmp_path) as other:
        assert await replayed(other) == [record(1)]


async def test_the_records_of_a_worker_that_lives_are_left_to_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as other, opened(tmp_path) as journal:
        await other.append(record(1))
        assert await replayed(journal) == []
        assert await replayed(other) == [record(1)]


async def test_a_full_journal_refuses_until_it_was_replayed(tmp_path: Path) -> None:
    large = record(1, "x" * SEGMENT_BYTES)
    async with opened(tmp_path, max_bytes=2 * SEGMENT_BYTES) as journal:
        await journal.append(large)
        with pytest.raises(DiskFullError, match="JOURNAL_MAX_BYTES = 2097152"):
            await journal.append(large)
        assert await replayed(journal) == [large]
        await journal.append(large)


async def test_all_journals_of_a_machine_share_their_maximum(tmp_path: Path) -> None:
    large = record(1, "x" * SEGMENT_BYTES)
    async with (
        opened(tmp_path, max_bytes=2 * SEGMENT_BYTES) as one,
        opened(tmp_path, max_bytes=2 * SEGMENT_BYTES) as other,
    ):
        await one.append(large)
        with pytest.raises(DiskFullError):
            await other.append(large)


async def test_a_disk_that_fails_is_told_and_used_again_when_it_works(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_text("in the way")
    async with opened(path) as journal:
        with pytest.raises(DiskError):
            await journal.append(record(1))
        path.unlink()
        await journal.append(record(2))
        assert await replayed(journal) == [record(2)]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
async def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SegmentWriter, "__init__", open_full_device)
    async with opened(tmp_path) as journal:
        with pytest.raises(DiskFullError, match="No space left"):
            await journal.append(record(1))


def open_full_device(self: SegmentWriter, _: Path) -> None:
    self.size = 0
    self._file = os.open("/dev/full", os.O_WRONLY)


async def test_a_slow_disk_does_not_hold_up_a_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang(_: SegmentWriter, __: bytes) -> None:
        asyncio.run_coroutine_threadsafe(hanging.wait(), loop).result()

    monkeypatch.setattr(SegmentWriter, "write", hang)
    monkeypatch.setattr("service.stores.group_commit._SECONDS_TO_SAVE", 0.25)
    async with opened(tmp_path) as journal:
        with pytest.raises(DiskError, match=r"more than 0\.25 s"):
            await journal.append(record(1))
        hanging.set()


async def test_a_disk_that_hangs_takes_a_bounded_number_of_records_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang(_: SegmentWriter, __: bytes) -> None:
        asyncio.run_coroutine_threadsafe(hanging.wait(), loop).result()

    monkeypatch.setattr(SegmentWriter, "write", hang)
    monkeypatch.setattr("service.stores.group_commit._SECONDS_TO_SAVE", 0.25)
    monkeypatch.setattr("service.stores.group_commit._MAX_UNSAVED", 2)
    async with opened(tmp_path) as journal:
        for number in range(3):  # the first is being written, two wait
            with pytest.raises(DiskError, match=r"more than 0\.25 s"):
                await journal.append(record(number))
        with pytest.raises(DiskError, match="the disk is behind"):
            await journal.append(record(3))
        hanging.set()


async def test_a_record_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    path = written(tmp_path, record(1).encoded() + record(2).encoded()[:-1])
    assert read_records(path) == ([record(1)], False)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-3] + b"!" + data[-2:],
        lambda data: data[:5] + b"\0" + data[6:],
        lambda data: bytes(len(data)),
    ],
    ids=["content", "checksum", "zeros after a power cut"],
)
async def test_a_damaged_record_ends_its_segment_which_is_kept(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    async with opened(tmp_path) as ended:
        await ended.append(record(1))
    (path,) = segments(tmp_path)
    path.write_bytes(path.read_bytes() + damage(record(2).encoded()) + record(3).encoded())
    async with opened(tmp_path) as journal:
        assert await replayed(journal) == [record(1)]
        assert await replayed(journal) == []
    assert path.with_suffix(".damaged").exists()


async def test_segments_are_of_a_bounded_size(tmp_path: Path) -> None:
    half = [record(number, "x" * (SEGMENT_BYTES // 2)) for number in range(3)]
    async with opened(tmp_path, max_bytes=10 * SEGMENT_BYTES) as journal:
        for each in half:
            await journal.append(each)
        assert len(segments(tmp_path)) == 3
        assert await replayed(journal) == half


def written(folder: Path, data: bytes) -> Path:
    writer = SegmentWriter(folder / "00000001.log")
    writer.write(data)
    writer.close()
    return folder / "00000001.log"


def test_only_the_owner_can_read_a_journal(tmp_path: Path) -> None:
    folder, lock = make_folder(tmp_path)
    os.close(lock)
    assert folder.stat().st_mode & 0o077 == 0
    assert written(folder, b"").stat().st_mode & 0o077 == 0
