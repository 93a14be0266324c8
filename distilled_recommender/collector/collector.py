"""The collector, which moves entries of the event log from a source to Parquet files.

A kill at any moment loses nothing: the collector removes entries from the source only after their
records are on the disk. An entry that was written but not removed is written again, and readers of
the log count it once.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from distilled_recommender.collector.source import Batch, Source
from training.events.log_folder import LogFolder
from training.events.records import tables_by_partition

_MAX_REMEMBERED = 100_000
"""Maximum number of unreadable entries of which a collector remembers that it has seen them."""


@dataclass(frozen=True)
class FlushLimits:
    """Limits of the records that wait in memory; at either limit, all of them are written.

    Attributes:
        max_records: number of waiting records at which they are written.
        max_seconds: time in seconds after which the oldest waiting record is written.
    """

    max_records: int
    max_seconds: float


@dataclass
class Collector:
    """Moves records from a source to the Parquet files of the event log.

    Attributes:
        source: source of the entries.
        log: folder of the Parquet files.
        limits: limits of the waiting records.
        say: function that prints a message about an entry that cannot be read, once for each.
        num_written: number of records that this collector has written, copies included.
        num_files: number of files that this collector has written.
        num_unreadable: number of entries that could not be read. After the first 100,000, an entry
            counts each time that the source returns it.
    """

    source: Source
    log: LogFolder
    limits: FlushLimits
    say: Callable[[str], object]
    num_written: int = 0
    num_files: int = 0
    num_unreadable: int = 0
    _waiting: list[Batch] = field(default_factory=list)
    _waits_since: float = 0.0
    _unreadable: set[str] = field(default_factory=set)  # messages about the entries seen so far

    async def step(self) -> bool:
        """Takes entries from the source, and writes all waiting records if a limit is reached.

        Returns:
            True if the source may have more: at least one record was taken, or an unreadable entry
            that was not seen before.

        Raises:
            SourceError: the source cannot be reached.
            OSError: the log cannot be written. The entries stay in the source.
        """
        room = self.limits.max_records - self._num_waiting
        batches = await self.source.take(room) if room > 0 else []
        if batches and not self._waiting:
            self._waits_since = time.monotonic()
        self._waiting += batches
        is_any_new = self._tell_unreadable(batches)
        waited = time.monotonic() - self._waits_since
        if self._num_waiting >= self.limits.max_records or waited >= self.limits.max_seconds:
            await self.flush()
        return is_any_new or any(batch.records for batch in batches)

    async def flush(self) -> None:
        """Writes all waiting records, and removes their entries from the source.

        Raises:
            SourceError: the entries cannot be removed; the source returns them again later.
            OSError: the log cannot be written.
        """
        records = [record for batch in self._waiting for record in batch.records]
        for (kind, hour), table in tables_by_partition(records).items():
            self.log.write(kind, hour, table)
            self.num_files += 1
        self.num_written += len(records)
        written, self._waiting = self._waiting, []
        await self.source.remove(written)

    def _tell_unreadable(self, batches: Sequence[Batch]) -> bool:
        """Counts unreadable entries and prints those not seen before; returns whether one was.

        A source returns such an entry again and again, since it is never removed. Entries beyond
        `_MAX_REMEMBERED` are not remembered: they are counted only.
        """
        told = len(self._unreadable)
        for message in (each for batch in batches for each in batch.unreadable):
            if message not in self._unreadable:
                self.num_unreadable += 1
                self._tell(message)
        return len(self._unreadable) > told

    def _tell(self, message: str) -> None:
        if len(self._unreadable) == _MAX_REMEMBERED:
            return
        self._unreadable.add(message)
        self.say(f"not collected: {message}")
        if len(self._unreadable) == _MAX_REMEMBERED:
            self.say(
                f"not collected: {_MAX_REMEMBERED:,} entries cannot be read; further ones are "
                "counted each time that they come, and no longer named"
            )

    @property
    def _num_waiting(self) -> int:
        return sum(len(batch.records) for batch in self._waiting)
