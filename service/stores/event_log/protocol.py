"""The event log as the service writes it; `export.contract.log.events` has its records."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

LeftOut = Literal["log_full", "log_failed", "behind", "too_long"]
"""Reasons why something is left out of the log.

It has its maximum size; it cannot be written; too many impressions wait to be written; an
impression is longer than an entry may be.
"""

Kind = Literal["event", "impression"]

CountLeftOut = Callable[[Kind, LeftOut, int], None]
"""Counts what is left out of the log: its kind, the reason and the number of records."""


class NotLoggedError(Exception):
    """An event is stored in its session and left out of the log.

    Attributes:
        history: the history that ends with the event.
        reason: why it is left out.
        is_new: whether it came for the first time; else it was left out before.
    """

    def __init__(
        self, history: Sequence[str], reason: LeftOut = "log_full", *, is_new: bool = True
    ) -> None:
        super().__init__("the event is left out of the event log")
        self.history = history
        self.reason = reason
        self.is_new = is_new


class LogBounds(NamedTuple):
    """Limits of a log's size in bytes, by the kind of the record that is to be written.

    Tombstones may use all of it, since an erasure must not fail because events have filled the log.
    """

    impressions: int
    events: int
    tombstones: int

    @classmethod
    def of(cls, max_bytes: int) -> "LogBounds":
        """Returns the limits of a log, or of a part of it, that has at most `max_bytes`."""
        return cls(max_bytes * 6 // 8, max_bytes * 7 // 8, max_bytes)


class ImpressionLog(Protocol):
    """Protocol of a log to which impressions are written."""

    async def append_impressions(self, text: str) -> LeftOut | None:
        """Writes an entry of impressions; returns why it is left out, None if it is written."""
        ...
