"""Records of a journal: events to store later. Each is in a segment (`export.contract.log`).

The content of a record is a JSON array of session ref, item id, event id and time. With an event
log it goes on with the text of its entry, whether the event is for the history, and its user.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import orjson

from export.contract.log.segments import framed, read_segment


class Record(NamedTuple):
    """An event to store later.

    Attributes:
        ref: session ref of the session.
        item_id: id of the item.
        event_id: id of the event, so that it is stored only once.
        at: time of the event in µs since 1970, which decides its place in the history.
        log_text: text of its entry in the event log; None: it is not logged.
        is_for_history: whether the event belongs in the history of its session.
        user_ref: pseudonym of the user; None: unknown.
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
    """Reads the records of a journal's segment, and whether one is damaged; see `read_segment`."""
    contents, is_damaged = read_segment(path)
    return [Record(*orjson.loads(each)) for each in contents], is_damaged
