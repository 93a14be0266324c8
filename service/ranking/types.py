"""Types for ranking by item index: queries, rankings, masks and vectors."""

from collections.abc import Sequence
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
