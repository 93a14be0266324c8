"""Types for writing the event log; `export.contract.log.events` defines the records of the log."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

LeftOut = Literal["log_full", "log_failed", "behind", "too_long"]
"""Reasons why an event or an impression is left out of the log.

`service.telemetry.metrics.LEFT_OUT` has their meanings.
"""

Kind = Literal["event", "impression"]

CountLeftOut = Callable[[Kind, LeftOut, int], None]
"""Counts records that are left out of the log: their kind, the reason and their number."""

NoteNew = Callable[[str], None]
"""Notes an event that is stored for the first time; its argument is the text of its log entry."""


class NotLoggedError(Exception):
    """An event that is stored in its session but left out of the event log.

    Attributes:
        history: the history that ends with the event, as item ids.
        reason: why the event is left out.
        is_new: whether the event is left out for the first time and must be counted; False: the
            client has repeated an event that was left out and counted before.
    """

    def __init__(
        self, history: Sequence[str], reason: LeftOut = "log_full", *, is_new: bool = True
    ) -> None:
        super().__init__("the event is left out of the event log")
        self.history = history
        self.reason = reason
        self.is_new = is_new


class LogBounds(NamedTuple):
    """Size limits of a log, in bytes, for each kind of record.

    A log takes no record beyond the limit for its kind. Tombstones have the highest limit, since an
    erasure must not fail because events have filled the log.
    """

    impressions: int
    events: int
    tombstones: int

    @classmethod
    def of(cls, max_bytes: int) -> "LogBounds":
        """Returns the limits for a log, or for a part of a log, of at most `max_bytes`.

        Tombstones may use all of it, events seven eighths and impressions six eighths.
        """
        return cls(max_bytes * 6 // 8, max_bytes * 7 // 8, max_bytes)


class ImpressionLog(Protocol):
    """Protocol of a log to which impressions are written."""

    async def append_impressions(self, text: str) -> LeftOut | None:
        """Writes an entry of impressions; returns the reason if it is left out, else None.

        `text`: text of the entry's records.
        """
        ...
