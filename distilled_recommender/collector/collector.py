"""The collector: takes entries from a source, writes them to the log, then removes them.

It is killed at any moment without loss: entries are removed when their records are on the disk. An
entry that was written and not removed is written again, and readers of the log count it once.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from distilled_recommender.collector.source import Batch, Source
from training.events.log_folder import LogFolder
from training.events.records import tables_by_partition


@dataclass(frozen=True)
class FlushLimits:
    """When records are written: at so many of them, or when the oldest has waited so long.

    Attributes:
        max_records: number of records.
        max_seconds: time in seconds.
    """

    max_records: int
    max_seconds: float


@dataclass
class Collector:
    """Moves records from a source to the event log.

    Attributes:
        source: where entries come from.
        log: where their records go.
        limits: when they are written.
        say: function that gets messages about entries that cannot be read.
        num_written: number of records that this collector has written, copies included.
        num_files: number of files that it has written.
    """

    source: Source
    log: LogFolder
    limits: FlushLimits
    say: Callable[[str], object]
    num_written: int = 0
    num_files: int = 0
    _waiting: list[Batch] = field(default_factory=list)
    _waits_since: float = 0.0

    async def step(self) -> bool:
        """Takes entries, and writes what is due; returns whether the source had any.

        Raises:
            SourceError: the source cannot be reached.
            OSError: the log cannot be written. The entries stay in the source.
        """
        room = self.limits.max_records - self._num_waiting
        batches = await self.source.take(room) if room > 0 else []
        if batches and not self._waiting:
            self._waits_since = time.monotonic()
        self._waiting += batches
        for message in (each for batch in batches for each in batch.unreadable):
            self.say(f"not collected: {message}")
        waited = time.monotonic() - self._waits_since
        if self._num_waiting >= self.limits.max_records or waited >= self.limits.max_seconds:
            await self.flush()
        return any(batch.records for batch in batches)

    async def flush(self) -> None:
        """Writes all records that wait, and removes their entries from the source.

        Raises:
            SourceError: the entries cannot be removed; they will be given again.
            OSError: the log cannot be written.
        """
        records = [record for batch in self._waiting for record in batch.records]
        for (kind, hour), table in tables_by_partition(records).items():
            self.log.write(kind, hour, table)
            self.num_files += 1
        self.num_written += len(records)
        written, self._waiting = self._waiting, []
        await self.source.remove(written)

    @property
    def _num_waiting(self) -> int:
        return sum(len(batch.records) for batch in self._waiting)
