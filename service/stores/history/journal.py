"""The journal: keeps events on this machine's disk until the history store can store them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from export.contract.log.segments import SegmentWriter
from export.contract.log.worker_folders import (
    make_folder,
    release,
    segments_of,
    size_of,
    take_orphans,
)
from service.stores.group_commit import DiskFullError, GroupCommit
from service.stores.history.journal_records import Record, read_records

logger = logging.getLogger(__name__)

SEGMENT_BYTES = 1 << 20
_STORED_AT_ONCE = 16  # more would delay requests by more than a millisecond


class Journal:
    """Keeps events as records in files until the history store has them.

    A record is on the disk when `append` returns.

    Attributes:
        num_waiting: number of records that this worker has written and that are not replayed yet.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Makes a journal without files; the first record creates a file.

        Args:
            path: folder of the journals of all workers on this machine.
            max_bytes: maximum size of all these journals together. They can exceed it by one
                segment per worker.
        """
        self.num_waiting = 0
        self._path = path
        self._max_bytes = max_bytes
        self._disk = GroupCommit("journal", self._write, self._count)
        self._folder: tuple[Path, int] | None = None
        self._segment: SegmentWriter | None = None
        self._num_segments = 0
        self._num_stored: dict[Path, int] = {}  # stored records of interrupted replays

    async def append(self, record: Record) -> None:
        """Writes a record to the disk; see `GroupCommit.append` for its errors."""
        await self._disk.append(record.encoded())

    async def replay(self, store: Callable[[Record], Awaitable[None]]) -> int:
        """Passes all records to `store`, including those of workers that have ended.

        A segment is removed when all of its records are stored. If `store` raises, that error ends
        the replay, and the remaining records stay for the next call. The next call passes a few
        stored records again; in a new process, it passes all records of the segment again.

        Returns:
            The number of records in the segments that were replayed.

        Raises:
            OSError: a file cannot be read or removed.
        """
        taken, count = await self._disk.run(take_orphans, self._path), 0
        try:
            for path in [path for folder in taken for path in segments_of(folder)]:
                count += await self._replay_segment(path, store)
        finally:
            await self._disk.run(release, taken)
        for path in await self._disk.run(self._seal):
            num_stored = await self._replay_segment(path, store)
            self.num_waiting -= num_stored
            count += num_stored
        return count

    async def close(self) -> None:
        """Closes the files. Records that are left stay on the disk; another worker replays them."""
        await self._disk.settle()
        await self._disk.run(self._seal)
        if self._folder is not None:
            await self._disk.run(release, dict([self._folder]))
        self._disk.shut_down()

    def _count(self, num_written: int) -> None:
        self.num_waiting += num_written

    def _write(self, records: bytes) -> None:
        segment = self._segment
        if segment is None or segment.size + len(records) > SEGMENT_BYTES:
            segment = self._open_segment()
        try:
            segment.write(records)
        except OSError:
            self._seal()  # after an error, its content on the disk is unknown
            raise

    def _open_segment(self) -> SegmentWriter:
        if size_of(self._path) + SEGMENT_BYTES > self._max_bytes:
            raise DiskFullError(f"{self._path} has JOURNAL_MAX_BYTES = {self._max_bytes} already")
        if self._folder is None:
            self._folder = make_folder(self._path)
        self._seal()
        self._num_segments += 1
        self._segment = SegmentWriter(self._folder[0] / f"{self._num_segments:08}.log")
        return self._segment

    def _seal(self) -> Sequence[Path]:
        """Closes the segment that is being written; returns the paths of this worker's segments."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None
        return [] if self._folder is None else segments_of(self._folder[0])

    async def _replay_segment(self, path: Path, store: Callable[[Record], Awaitable[None]]) -> int:
        records, is_damaged = await self._disk.run(read_records, path)
        for first in range(self._num_stored.get(path, 0), len(records), _STORED_AT_ONCE):
            await asyncio.gather(*map(store, records[first : first + _STORED_AT_ONCE]))
            self._num_stored[path] = first + _STORED_AT_ONCE
        self._num_stored.pop(path, None)
        if is_damaged:
            kept = path.with_suffix(".damaged")
            logger.error("%s is damaged after %d events, kept as %s", path, len(records), kept.name)
            await self._disk.run(path.rename, kept)
        else:
            await self._disk.run(path.unlink)
        return len(records)
