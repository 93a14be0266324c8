"""The protocol of a source: where the collector takes entries of the event log from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from export.contract.log.events import Entry, EventLogError, Record, records_of


class SourceError(Exception):
    """A source cannot be reached now; the message names the reason. It is tried again later."""


@dataclass(frozen=True)
class Batch:
    """Entries that a source has given, and the receipt with which it removes them.

    Attributes:
        records: records of the entries that can be read.
        receipt: what the source needs to remove these entries; only the source reads it.
        unreadable: messages about entries that cannot be read. They stay in the source.
    """

    records: Sequence[Record]
    receipt: object
    unreadable: Sequence[str] = ()


class Source(Protocol):
    """A source of entries. It gives an entry again until the entry is removed."""

    async def take(self, max_entries: int) -> Sequence[Batch]:
        """Returns entries that no other collector has; none if there are no more at present.

        Args:
            max_entries: about how many entries are returned at most.

        Raises:
            SourceError: the source cannot be reached.
        """
        ...

    async def remove(self, batches: Sequence[Batch]) -> None:
        """Removes the entries of `batches`, whose records are on the disk now.

        Raises:
            SourceError: the source cannot be reached. Entries may be given again.
        """
        ...

    async def aclose(self) -> None:
        """Closes connections and gives up what was taken."""
        ...


def read_entry(entry: Entry) -> tuple[Sequence[Record], str]:
    """Returns the records of an entry, and a message if it cannot be read (else empty)."""
    try:
        return records_of(entry), ""
    except EventLogError as error:
        return [], f"entry {entry.sequence}: {error}"
