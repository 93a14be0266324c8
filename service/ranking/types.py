"""Types for ranking by item index: queries, rankings, masks, hidden items and vectors."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Ranking = Sequence[tuple[int, float]]
"""Pairs of item index and score, best first."""

Source = Literal["student", "similar", "popular", "catalog", "teacher"]
"""Name of the ranker that made a list; `teacher` is only in answers of the teacher's routes."""

Mask = NDArray[np.bool_]
"""Mask `[catalog rows]` by item index: True where an item may be recommended; 0 is padding."""

Vectors = NDArray[np.float32]
"""Item vectors or LLM embeddings, one per row: `[items, size]`."""


class HiddenItems:
    """An immutable set of item indices, stored as one byte for each catalog row.

    Copying it takes microseconds even with 100,000 hidden items.

    Attributes:
        mask: mask `[catalog rows]` of the hidden items, not writable.
    """

    __slots__ = ("_count", "_flags", "mask")

    def __init__(self, flags: bytes) -> None:
        """Stores the flags: for each catalog row 1 if its item is hidden, else 0."""
        self._flags = flags
        self._count = flags.count(1)
        self.mask: Mask = np.frombuffer(flags, dtype=np.bool_)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        return iter(np.flatnonzero(self.mask).tolist())

    def __contains__(self, item_index: int) -> bool:
        return self._flags[item_index] == 1

    def has_any(self, ranking: Ranking) -> bool:
        """Returns whether a list has a hidden item."""
        flags = self._flags
        return bool(self._count) and any(flags[index] for index, _ in ranking)

    def with_changes(self, rows: int, are_hidden: Mapping[int, bool]) -> "HiddenItems":
        """Returns a set for a catalog of `rows` rows; `are_hidden`: the changes, by item index.

        Items of new rows are shown unless a change hides them.
        """
        flags = bytearray(self._flags[:rows].ljust(rows, b"\0"))
        for index, is_hidden in are_hidden.items():
            flags[index] = is_hidden
        return HiddenItems(bytes(flags))


@dataclass(frozen=True, slots=True)
class IndexQuery:
    """A query to the student, in item indices.

    Attributes:
        history: indices of the history's items that the student reads, oldest first.
        k: maximum number of items in the ranking.
        excluded: indices of items that must not be recommended.
        allowed: mask `[catalog rows]` of the items that may be recommended; None: all items may.
        mask_seen: whether the items of `history` and `unread` are left out of the ranking.
        unread: indices of the history's items that the student does not read, oldest first.
    """

    history: Sequence[int]
    k: int
    excluded: Sequence[int] = ()
    allowed: Mask | None = None
    mask_seen: bool = True
    unread: Sequence[int] = ()

    @property
    def closed(self) -> Sequence[int]:
        """Item indices that a graph must exclude: `excluded`, and `unread` if `mask_seen` is true.

        Items of `history` are not among them, because the graphs mask these items themselves.
        """
        return (*self.excluded, *self.unread) if self.unread and self.mask_seen else self.excluded

    def leaves_no_unseen(self) -> bool:
        """Returns whether the filters allow only items that are seen or excluded.

        Returns False without looking if there are no filters, or if seen items are not left out.
        """
        if self.allowed is None or not self.mask_seen:
            return False
        closed = [0, *self.history, *self.closed]
        if np.count_nonzero(self.allowed) > len(closed):
            return False
        unseen = self.allowed.copy()
        unseen[closed] = False
        return not unseen.any()
