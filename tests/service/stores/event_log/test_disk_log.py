"""The event log on disk. Real files, read as a collector reads them."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from export.contract.log.events import Record, Tombstone, entry_of, records_of, text_of_entry
from export.contract.log.segments import SegmentWriter, read_segment
from export.contract.log.worker_folders import complete_segments, release, take_orphans
from service.stores.event_log.disk_log import DiskLog
from service.stores.group_commit import DiskError, DiskFullError

pytestmark = pytest.mark.anyio

MIB = 1 << 20


def tombstone(number: int) -> Tombstone:
    return Tombstone(1, "t", f"v1.{number}", None, number)


def text(number: int) -> str:
    return text_of_entry([tombstone(number)])


@asynccontextmanager
async def opened(path: Path, max_bytes: int = 8 * MIB) -> AsyncIterator[DiskLog]:
    log = DiskLog(path, max_bytes)
    yield log
    await log.close()


def collected(path: Path) -> list[Record]:
    """The records of all complete segments, which are removed."""
    taken = take_orphans(path)
    segments = complete_segments(path, taken)
    contents = [content for each in segments for content in read_segment(each)[0]]
    for each in segments:
        each.unlink()
    release(taken)
    return [record for content in contents for record in records_of(entry_of(content))]


async def test_entries_are_collected_in_the_order_in_which_they_were_given(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        await asyncio.gather(*(log.append(text(number)) for number in range(50)))
    found = collected(tmp_path)
    assert [each._replace(sequence=0) for each in found] == list(map(tombstone, range(50)))
    sequences = [each.sequence for each in found]
    assert sequences == sorted(set(sequences))
    assert list(tmp_path.iterdir()) == []


async def test_an_entry_of_a_living_worker_can_be_collected_once_its_segment_is_complete(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as log:
        await log.append(text(1))
        assert collected(tmp_path) == []
        await log.tend()
        await log.append(text(2))
        assert len(collected(tmp_path)) == 1
    assert len(collected(tmp_path)) == 1


async def test_entries_of_a_worker_that_was_killed_are_collected(tmp_path: Path) -> None:
    program = f"""if True:
        import asyncio, os, pathlib
        from service.stores.event_log.disk_log import DiskLog
        asyncio.run(DiskLog(pathlib.Path({str(tmp_path)!r}), {8 * MIB}).append({text(1)!r}))
        os.kill(os.getpid(), 9)
    """
    ended = subprocess.run([sys.executable, "-c", program], check=False)
    assert ended.returncode == -9
    assert len(collected(tmp_path)) == 1


async def test_an_entry_that_is_not_on_the_disk_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: SegmentWriter, __: bytes) -> None:
        raise OSError("a broken disk")

    async with opened(tmp_path) as log:
        with monkeypatch.context() as broken:
            broken.setattr(SegmentWriter, "write", fail)
            with pytest.raises(DiskError, match="a broken disk"):
                await log.append(text(1))
            assert await log.append_impressions(text(2)) == "log_failed"
        await log.append(text(3))
    assert [each._replace(sequence=0) for each in collected(tmp_path)] == [tombstone(3)]


async def test_a_full_log_takes_no_events_and_still_tombstones_until_it_is_collected(
    tmp_path: Path,
) -> None:
    long = "x" * (MIB // 2)
    async with opened(tmp_path) as log:
        for _ in range(13):
            await log.append(long)
        with pytest.raises(DiskFullError, match="has EVENT_LOG_MAX_BYTES already"):
            await log.append(long)
        assert await log.append_impressions("x") == "log_full"
        await log.append(long, is_tombstone=True)
        assert 7 * MIB < sum(each.stat().st_size for each in tmp_path.glob("*/*")) < 8 * MIB
        await log.tend()
        for path in tmp_path.glob("*/*.log"):
            path.unlink()
        await log.tend()
        await log.append(text(1))
