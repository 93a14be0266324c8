"""The source for a service without Redis: segments on the service's disk.

A complete segment is read as a whole, and removed after its records are written. Segments that dead
workers have left open are read too. A segment with a damaged record is renamed and kept, after the
records before the damage are written.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from distilled_recommender.collector.source import Batch, SourceError, read_entry
from export.contract.log.events import Entry, EventLogError, Record, entry_of
from export.contract.log.segments import read_segment
from export.contract.log.worker_folders import complete_segments, release, take_orphans

_DAMAGED = ".damaged"

logger = logging.getLogger(__name__)


class _Receipt(NamedTuple):
    """The segment file of a batch; `SegmentSource.remove` deletes it, or renames a damaged one."""

    path: Path
    is_damaged: bool


class SegmentSource:
    """Source of entries in the segment files of a service; each worker has a folder of segments."""

    def __init__(self, folder: Path) -> None:
        """Creates a source of the workers' folders in `folder`, which need not exist yet."""
        self._folder = folder
        self._given: set[Path] = set()
        self._taken: Mapping[Path, int] = {}

    async def take(self, max_entries: int) -> Sequence[Batch]:
        """Reads the next complete segments, until these have at least `max_entries` records.

        Returns:
            One batch for each segment.

        Raises:
            SourceError: the folder cannot be read.
        """
        batches: list[Batch] = []
        try:
            self._taken = {**self._taken, **take_orphans(self._folder)}
            for path in complete_segments(self._folder, self._taken):
                if path in self._given or sum(len(each.records) for each in batches) >= max_entries:
                    continue
                with suppress(FileNotFoundError):  # another collector has removed it
                    batches.append(_batch_of(path))
                    self._given.add(path)
        except OSError as error:
            raise SourceError(f"{self._folder}: {error}") from error
        return batches

    async def remove(self, batches: Sequence[Batch]) -> None:
        """Removes the segments of `batches`; renames segments with an unreadable record instead.

        Raises:
            SourceError: a segment cannot be removed. All others are, and `take` reads it again.
        """
        errors: list[SourceError] = []
        for batch in batches:
            assert isinstance(batch.receipt, _Receipt)  # noqa: S101 - of this source
            path, is_damaged = batch.receipt
            try:
                _remove(path, is_damaged or bool(batch.unreadable))
            except OSError as error:
                errors.append(SourceError(f"{path} cannot be removed: {error.strerror}"))
            self._given.discard(path)
        if errors:
            raise errors[0]

    async def aclose(self) -> None:
        """Unlocks the folders of dead workers, and removes the folders without segments."""
        release(self._taken)
        self._taken = {}


def _remove(path: Path, is_damaged: bool) -> None:
    with suppress(FileNotFoundError):  # another collector has removed it
        if is_damaged:
            logger.error("%s is damaged, kept as %s", path, path.name + _DAMAGED)
            path.rename(path.with_name(path.name + _DAMAGED))
        else:
            path.unlink()


def _batch_of(path: Path) -> Batch:
    contents, is_damaged = read_segment(path)
    records: list[Record] = []
    unreadable: list[str] = []
    for content in contents:
        read, problem = _read(content)
        records += read
        if problem:
            unreadable.append(f"{path}: {problem}")
    return Batch(records, _Receipt(path, is_damaged), unreadable)


def _read(content: bytes) -> tuple[Sequence[Record], str]:
    try:
        entry: Entry = entry_of(content)
    except EventLogError as error:
        return [], str(error)
    return read_entry(entry)
