"""Applies tombstones: finds the records of the event log that are erased.

A session's tombstone erases the records of its session, except later ones. A record is later if
both its sequence number and its time are after the tombstone's. Neither is enough alone: clocks of
replicas differ, and impressions are written after they are shown. An event in the same millisecond
as the tombstone is later if its sequence number is higher, since both are in one stream.

A user's tombstone erases the events of its user, except later ones; all events in its millisecond
are erased. It also counts as a tombstone of every session that has an erased event.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from training.events.layout import TIME_COLUMNS, Kind
from training.events.schema import digest_of


@dataclass(frozen=True)
class Deadline:
    """The time and the entry number up to which records of a session or a user are erased.

    Attributes:
        at: time of the latest tombstone of the session or user, in ms since 1970.
        sequence: highest entry number of such a tombstone in the log.
    """

    at: int
    sequence: int

    def joined(self, other: "Deadline | None") -> "Deadline":
        """Returns the deadline that erases all that this one or `other` erases.

        It has the later time and the higher entry number of the two. None stands for no other one.
        """
        if other is None:
            return self
        return Deadline(max(self.at, other.at), max(self.sequence, other.sequence))


Deadlines = Mapping[str, Deadline]
"""Deadlines by the digest of their session or user."""


def deadlines_of(tombstones: pa.Table) -> dict[str, Deadline]:
    """Returns the joined deadline of all tombstones of each session and user, by digest.

    `tombstones` is a table with the columns of tombstones. A digest is a value of its column
    `erased` (`digest_of`).
    """
    found: dict[str, Deadline] = {}
    for each in tombstones.select(["erased", "at", "sequence"]).to_pylist():
        deadline = Deadline(each["at"], each["sequence"])
        found[each["erased"]] = deadline.joined(found.get(each["erased"]))
    return found


def with_sessions_of_users(deadlines: Deadlines, events: pa.Table) -> dict[str, Deadline]:
    """Returns `deadlines` and, in addition, a deadline for each session of an erased user.

    A session belongs to an erased user if it has an event that the user's tombstone erases.
    """
    found = dict(deadlines)
    if not deadlines:
        return found
    identified = events.filter(events["user_ref"].is_valid())
    erased = _erased(identified, "received_at", _deadlines_by_row(identified, "user_ref", found))
    for row in np.flatnonzero(erased).tolist():
        tenant = identified["tenant"][row].as_py()
        deadline = deadlines[digest_of(tenant, user_ref=identified["user_ref"][row].as_py())]
        session = digest_of(tenant, session_ref=identified["session_ref"][row].as_py())
        found[session] = deadline.joined(found.get(session))
    return found


def is_erased(kind: Kind, records: pa.Table, deadlines: Deadlines) -> NDArray[np.bool_]:
    """Returns a mask of the records that are erased, `[records]`; tombstones never are.

    Args:
        kind: kind of the records.
        records: table with the columns of this kind.
        deadlines: deadlines by digest, with those that `with_sessions_of_users` adds.
    """
    if not deadlines or kind == "tombstone":
        return np.zeros(len(records), dtype=np.bool_)
    at, sequences = _deadlines_by_row(records, "session_ref", deadlines)
    if kind == "event":
        # If an event and a session's tombstone have the same millisecond, the sequence decides. A
        # user's tombstone erases all of the user's events of its millisecond.
        at = np.maximum(at, _NEVER + 1) - 1
        of_users = _deadlines_by_row(records, "user_ref", deadlines)
        return _erased(records, "received_at", (at, sequences)) | _erased(
            records, "received_at", of_users
        )
    return _erased(records, TIME_COLUMNS[kind], (at, sequences))


_NEVER = np.iinfo(np.int64).min


def _deadlines_by_row(
    records: pa.Table, column: str, deadlines: Deadlines
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns `at` and `sequence` of each record's deadline, `[records]` each.

    Both are `_NEVER`, the smallest int64, for a record without a deadline.

    Args:
        records: table of records.
        column: `session_ref` or `user_ref`, the column that the deadlines are looked up by.
        deadlines: deadlines by digest.
    """
    pairs = records.group_by(["tenant", column]).aggregate([])
    known: dict[tuple[str, str | None], Deadline] = {}
    for tenant, ref in zip(pairs["tenant"].to_pylist(), pairs[column].to_pylist(), strict=True):
        digest = "" if ref is None else digest_of(tenant, **{column: ref})
        if (deadline := deadlines.get(digest)) is not None:
            known[tenant, ref] = deadline
    at = np.full(len(records), _NEVER, dtype=np.int64)
    sequences = at.copy()
    if not known:
        return at, sequences
    keys = zip(records["tenant"].to_pylist(), records[column].to_pylist(), strict=True)
    for row, key in enumerate(keys):
        if (deadline := known.get(key)) is not None:
            at[row], sequences[row] = deadline.at, deadline.sequence
    return at, sequences


def _erased(
    records: pa.Table, time: str, by_row: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> NDArray[np.bool_]:
    at, sequences = by_row
    erased: NDArray[np.bool_] = (records[time].to_numpy() <= at) | (
        records["sequence"].to_numpy() <= sequences
    )
    return erased & (at > _NEVER)
