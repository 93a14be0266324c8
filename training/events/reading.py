"""Reads the event log: each record once, in order, without erased records.

A compaction at the same time does not change the result. Of several copies of a record, one is
returned. If a file vanishes because of a compaction, the files are listed and read again.
"""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from training.errors import DataError
from training.events.erasure import Deadlines, deadlines_of, is_erased, with_sessions_of_users
from training.events.layout import HOUR_MS, TIME_COLUMNS, Kind, hour_of
from training.events.log_folder import LogFolder
from training.events.schema import SCHEMAS, USER, in_order

_ATTEMPTS = 10


@dataclass(frozen=True)
class Window:
    """A range of time from `begin` until just before `end`, in ms since 1970; None is no limit."""

    begin: int | None = None
    end: int | None = None

    def holds(self, records: pa.Table, column: str) -> pa.Table:
        """Returns the records whose time lies in the window.

        `column` is the name of the column of times, in ms since 1970.
        """
        if self.begin is not None:
            records = records.filter(pc.greater_equal(records[column], self.begin))
        if self.end is not None:
            records = records.filter(pc.less(records[column], self.end))
        return records


ALL_TIME = Window()


def newest_hour_end(log: LogFolder) -> int | None:
    """Returns the end of the newest hour with an event, in ms since 1970; None without events."""
    parts = log.parts("event")
    return (parts[-1].hour + 1) * HOUR_MS if parts else None


def read_events(log: LogFolder, window: Window = ALL_TIME) -> pa.Table:
    """Returns the events of a window, ordered by timestamp and sequence.

    Raises:
        DataError: a file is damaged.
    """
    return read_records(log, "event", window)


def read_records(log: LogFolder, kind: Kind, window: Window = ALL_TIME) -> pa.Table:
    """Returns the records of one kind in a window, each once, without erased records.

    They are ordered by time and then by sequence, see `in_order`.

    Raises:
        DataError: a file is damaged.
    """
    copies = read_copies(log, kind, window)
    deadlines = read_all_deadlines(log)
    # Erases first: an erased copy could else displace one that was sent after the erasure.
    kept = copies.filter(pa.array(~is_erased(kind, copies, deadlines)))
    return window.holds(in_order(kind, kept), TIME_COLUMNS[kind])


def read_deadlines(log: LogFolder) -> Deadlines:
    """Returns the deadline of each erased session and user, by its digest in tombstones.

    Raises:
        DataError: a file is damaged.
    """
    return deadlines_of(read_copies(log, "tombstone"))


def read_all_deadlines(log: LogFolder) -> Deadlines:
    """Returns the deadlines of `read_deadlines`, and one for each session of an erased user.

    Raises:
        DataError: a file is damaged.
    """
    deadlines = read_deadlines(log)
    if not any(each.startswith(USER) for each in deadlines):
        return deadlines
    # All events, since the one that names a session's user may lie outside the window. Deadlines
    # are read once more after them: a compaction that has erased a user's events meanwhile has
    # saved the deadlines of the user's sessions before.
    events = read_copies(log, "event")
    return with_sessions_of_users(read_deadlines(log), events)


def read_copies(log: LogFolder, kind: Kind, window: Window = ALL_TIME) -> pa.Table:
    """Returns all stored records in the partitions of a window, copies and erased ones included.

    Raises:
        DataError: a file is damaged, or each of `_ATTEMPTS` attempts met a file that had vanished.
    """
    begin = None if window.begin is None else hour_of(window.begin)
    end = None if window.end is None else hour_of(window.end - 1) + 1
    for _ in range(_ATTEMPTS):
        try:
            tables = [log.read(part) for part in log.parts(kind, begin, end)]
        except FileNotFoundError:  # compacted meanwhile: its rows are in another file now
            continue
        return pa.concat_tables([SCHEMAS[kind].empty_table(), *tables])
    raise DataError(f"{log.address}: files vanish while they are read; stop what removes them")
