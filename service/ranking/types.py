"""Types of the ranking, in item indices: queries, rankings, masks and vectors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ranking = Sequence[tuple[int, float]]
"""Item indices and scores, best first."""

Mask = NDArray[np.bool_]
"""Whether each item may be recommended, `[items + 1]` by item index; index 0 is padding."""

Vectors = NDArray[np.float32]
"""Item vectors, or LLM embeddings, one per row: `[items, size]`."""


@dataclass(frozen=True, slots=True)
class IndexQuery:
    """A query to the student in item indices.

    Attributes:
        history: item indices that the student reads, oldest first.
        k: maximum number of items in the ranking.
        excluded: indices of items that must not be recommended.
        allowed: mask of the items that may be recommended; None: all of them.
        mask_seen: whether the items of `history` and `unread` must not be recommended.
        unread: indices of further items of the history, which the student does not read.
    """

    history: Sequence[int]
    k: int
    excluded: Sequence[int] = ()
    allowed: Mask | None = None
    mask_seen: bool = True
    unread: Sequence[int] = ()

    @property
    def closed(self) -> Sequence[int]:
        """Indices that must not be recommended, besides those of `history`."""
        return (*self.excluded, *self.unread) if self.unread and self.mask_seen else self.excluded
