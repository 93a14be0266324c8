"""The journal: keeps events on this machine's disk until the history store can store them."""

import asyncio
import errno
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import orjson

from export.contract.log.worker_folders import (
    SEALED,
    release,
    segments_of,
    size_of,
    take_orphans,
)
from service.stores.group_commit import DiskFullError, GroupCommit
from service.stores.history.journal_records import Record, read_records
from service.stores.worker_segments import SEGMENT_BYTES, WorkerSegments

logger = logging.getLogger(__name__)

REJECTED = "rejected.jsonl"
"""Name of the file of records that can never be stored, one JSON object a line."""

_STORED_AT_ONCE = 16  # more would delay requests by more than a millisecond


class Journal:
    """Keeps events as records in files until the history store has them.

    Attributes:
        num_set_aside: number of records that this worker has set aside; see `set_aside`.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Makes a journal without files; the first record creates a file.

        Args:
            path: folder of the journals of all workers on this machine.
            max_bytes: maximum size of all these journals together, which they can exceed by one
                segment per worker.
        """
        self._num_written = 0  # and not replayed yet
        # The locks of the folders that it has taken over, and the numbers of records in their
        # segments.
        self._taken_over: dict[Path, int] = {}
        self._num_taken_over: dict[Path, int] = {}
        self.num_set_aside = 0
        self._path = path
        self._max_bytes = max_bytes
        self._segments = WorkerSegments(path, SEALED, check_room=self._check_room)
        self._disk = GroupCommit("journal", self._segments.write, self._count)
        self._num_stored: dict[Path, int] = {}  # stored records of interrupted replays

    @property
    def num_waiting(self) -> int:
        """Number of records, written by this worker or taken over, that are not replayed yet."""
        return self._num_written + sum(self._num_taken_over.values())

    async def take_over(self) -> None:
        """Takes over and counts the records of workers that have ended, until they are replayed.

        No other worker takes them over or counts them meanwhile.
        """
        taken, numbers = await self._disk.run(take_orphans, self._path), dict[Path, int]()
        for path in _segments_in(taken):
            with suppress(OSError):  # which the replay tells
                numbers[path] = len((await self._disk.run(read_records, path))[0])
        # Both at once, so that no replay removes a segment before its number is noted.
        self._taken_over |= taken
        self._num_taken_over |= numbers

    async def append(self, record: Record) -> None:
        """Writes a record; returns when the record is on the disk.

        Raises:
            DiskError: the disk is full, fails or is too slow; a slow disk may still write the
                record later.
        """
        await self._disk.append(record.encoded())

    async def replay(self, store: Callable[[Record], Awaitable[None]]) -> int:
        """Passes all records to `store`, including those of workers that have ended.

        A segment is removed when all of its records are stored. If `store` raises an error, the
        replay ends with this error, and the remaining records stay for the next call. The next call
        passes a few stored records again; in a new process, it passes all records of the segment
        again.

        Returns:
            The number of records in the segments that were replayed.

        Raises:
            OSError: a file cannot be read or removed.
        """
        count = await self._replay_taken_over(store)
        for path in await self._disk.run(self._complete_segments):
            num_stored = await self._replay_segment(path, store)
            self._num_written -= num_stored
            count += num_stored
        return count

    async def _replay_taken_over(self, store: Callable[[Record], Awaitable[None]]) -> int:
        await self.take_over()
        count, folders = 0, dict(self._taken_over)
        for path in _segments_in(folders):
            count += await self._replay_segment(path, store)
            self._num_taken_over.pop(path, None)
        for folder in folders:  # before others can take it over
            del self._taken_over[folder]
        await self._disk.run(release, folders)
        return count

    async def set_aside(self, record: Record, reason: str) -> None:
        """Writes a record that the store rejects into the file `REJECTED`, next to the journals.

        `reason`, why the store rejects it, is written too. So the record does not prevent the
        replay of later ones. If the process is killed before the segment of the record is removed,
        the record is set aside twice.

        Raises:
            OSError: the file cannot be written, or has the maximum size of the journals.
        """
        line = orjson.dumps({**record._asdict(), "reason": reason}) + b"\n"
        await self._disk.run(append_line, self._path / REJECTED, line, self._max_bytes)
        self.num_set_aside += 1
        logger.error("%s has one more event, which can never be stored: %s", REJECTED, reason)

    async def close(self) -> None:
        """Closes the files. Records that are left stay on the disk; another worker replays them."""
        await self._disk.settle()
        await self._disk.run(self._segments.close)
        await self._disk.run(release, self._taken_over)
        self._disk.shut_down()

    def _count(self, num_written: int) -> None:
        self._num_written += num_written

    def _check_room(self) -> None:
        if size_of(self._path) + SEGMENT_BYTES > self._max_bytes:
            raise DiskFullError(f"{self._path} would exceed JOURNAL_MAX_BYTES = {self._max_bytes}")

    def _complete_segments(self) -> Sequence[Path]:
        """Closes the current segment to further records; returns the paths of all segments."""
        self._segments.seal()
        return self._segments.paths()

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


def _segments_in(folders: Iterable[Path]) -> Sequence[Path]:
    return [path for folder in folders for path in segments_of(folder)]


def append_line(path: Path, line: bytes, max_bytes: int) -> None:
    """Appends a line to a file that several processes write, and waits until it is on the disk.

    Raises:
        OSError: the file cannot be written, or would have more than `max_bytes`.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as file:
        if file.tell() + len(line) > max_bytes:
            raise OSError(errno.EFBIG, f"{path} would exceed JOURNAL_MAX_BYTES = {max_bytes}")
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
