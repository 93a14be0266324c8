"""Records of a journal: events that the history store did not store yet.

A record is a JSON array of the fields of `Record`, in their order. Fields with a default may be
missing at the end of the array. Segments (`export.contract.log.segments`) hold the records.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import orjson

from export.contract.log.segments import framed, read_segment


class Record(NamedTuple):
    """An event that the history store did not store yet.

    Attributes:
        ref: session ref of the session.
        item_id: id of the item.
        event_id: id of the event, so that it is stored only once.
        at: time of the event in µs since 1970, which decides its place in the history.
        log_text: text of the event's entry in the event log; None: it is not logged.
        is_for_history: whether the event belongs in the history of its session.
        user_ref: user ref of the user; None: unknown.
    """

    ref: str
    item_id: str
    event_id: str
    at: int
    log_text: str | None = None
    is_for_history: bool = True
    user_ref: str | None = None

    def encoded(self) -> bytes:
        """Returns the record as the bytes that a segment stores."""
        return framed(orjson.dumps(tuple(self)))


def read_records(path: Path) -> tuple[Sequence[Record], bool]:
    """Reads the records of a journal's segment; also returns whether one of them is damaged.

    A damaged record and those after it are left out; see `read_segment`.
    """
    contents, is_damaged = read_segment(path)
    return [Record(*orjson.loads(each)) for each in contents], is_damaged
