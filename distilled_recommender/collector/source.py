"""Protocol of a source, from which the collector takes entries of the event log."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from export.contract.log.events import Entry, EventLogError, Record, records_of

GROUP = "collect"
"""Name of the consumer group that all collectors of a source form."""


class SourceError(Exception):
    """A source of entries that cannot be reached at present; the message names the reason."""


@dataclass(frozen=True)
class Batch:
    """Entries that were taken from a source together.

    Attributes:
        records: records of the entries that can be read.
        receipt: data that the source needs to remove these entries; other code does not read it.
        unreadable: messages about entries that cannot be read. Such entries are not removed.
    """

    records: Sequence[Record]
    receipt: object
    unreadable: Sequence[str] = ()


class Source(Protocol):
    """A source of entries. An entry that was taken but not removed is returned again later."""

    async def take(self, max_entries: int) -> Sequence[Batch]:
        """Takes entries that no other collector has; returns no batch if there are none now.

        Args:
            max_entries: approximate maximum number of entries to take.

        Raises:
            SourceError: the source cannot be reached.
        """
        ...

    async def remove(self, batches: Sequence[Batch]) -> None:
        """Removes the entries of `batches` from the source; their records must be on the disk.

        Raises:
            SourceError: the source cannot be reached. `take` may return the entries again.
        """
        ...

    async def aclose(self) -> None:
        """Closes connections, and leaves entries that were not removed to other collectors."""
        ...


def read_entry(entry: Entry) -> tuple[Sequence[Record], str]:
    """Reads an entry; returns its records and an error message.

    The message is empty for a valid entry. An entry that cannot be read has no records.
    """
    try:
        return records_of(entry), ""
    except EventLogError as error:
        return [], f"entry {entry.sequence}: {error}"
