"""The event log of a service without Redis: segments on its disk, for a collector to fetch.

An entry is on the disk when `append` returns. `export.contract.log.worker_folders` says when a
segment is complete. A collector removes the segments that it has fetched.
"""

import asyncio
import logging
import time
from pathlib import Path

from export.contract.log.events import Entry, framed_entry, next_sequence
from export.contract.log.worker_folders import OPEN, seal, size_of
from service.stores.event_log.protocol import LeftOut, LogBounds
from service.stores.group_commit import DiskError, DiskFullError, GroupCommit
from service.stores.worker_segments import WorkerSegments

logger = logging.getLogger(__name__)

_SECONDS_TO_SEAL = 10.0  # longest time until a collector can see an entry


class DiskLog:
    """Writes the entries of the event log to segments in a folder of this worker."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Makes a log without files; the first entry creates a file.

        Args:
            path: folder of the logs of all workers on this machine.
            max_bytes: maximum size of all segments in `path`. Only tombstones may fill the log to
                this size; events and impressions have lower limits (`LogBounds`).
        """
        self._path = path
        self._bounds = LogBounds.of(max_bytes)
        self._disk = GroupCommit("event log", self._write)
        self._sequence = 0
        self._num_bytes: int | None = None  # of all segments; None: not measured yet
        self._segments = WorkerSegments(path, OPEN, complete=seal)

    async def append(self, text: str, *, is_tombstone: bool = False) -> None:
        """Writes an entry; returns when the entry is on the disk.

        Entries get rising sequence numbers in the order of the calls.

        Args:
            text: text of the entry's records.
            is_tombstone: whether the entry is a tombstone, which has the highest size limit.

        Raises:
            DiskFullError: the log has reached its maximum size, or the disk is full.
            DiskError: the disk fails or is too slow; the entry may still be written later.
        """
        await self._append(text, self._bounds.tombstones if is_tombstone else self._bounds.events)

    async def append_impressions(self, text: str) -> LeftOut | None:
        """Implements `ImpressionLog.append_impressions`."""
        try:
            await self._append(text, self._bounds.impressions)
        except DiskError as error:
            return left_out_by(error)
        return None

    async def _append(self, text: str, max_bytes: int) -> None:
        self._sequence = next_sequence(self._sequence, time.time_ns() // 1_000_000)
        record = framed_entry(Entry(self._sequence, text))
        if self._num_bytes is not None and self._num_bytes + len(record) > max_bytes:
            raise DiskFullError(f"{self._path} has EVENT_LOG_MAX_BYTES already")
        await self._disk.append(record)

    async def follow(self) -> None:
        """Calls `tend`, which completes a segment, every `_SECONDS_TO_SEAL` s until cancelled."""
        while True:
            await self.tend()
            await asyncio.sleep(_SECONDS_TO_SEAL)

    async def tend(self) -> None:
        """Completes the current segment, so that a collector can fetch it, and measures the log.

        If the disk fails, logs a warning.
        """
        try:
            await self._disk.run(self._seal_and_measure)
        except OSError as error:
            logger.warning("a segment of the event log cannot be completed or measured: %s", error)

    async def close(self) -> None:
        """Waits for pending entries, completes the last segment and unlocks the folder."""
        await self._disk.settle()
        await self._disk.run(self._segments.close)
        self._disk.shut_down()

    def _write(self, records: bytes) -> None:
        if self._num_bytes is None:
            self._num_bytes = size_of(self._path)
        self._segments.write(records)
        self._num_bytes += len(records)

    def _seal_and_measure(self) -> None:
        self._segments.seal()
        self._num_bytes = size_of(self._path)


def left_out_by(error: DiskError) -> LeftOut:
    """Returns the reason why an entry is left out of the log after an error of the disk."""
    return "log_full" if isinstance(error, DiskFullError) else "log_failed"
