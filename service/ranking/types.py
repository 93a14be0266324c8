"""Types of the ranking: queries, rankings, masks and vectors, all by item index."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ranking = Sequence[tuple[int, float]]
"""Item indices and scores, best first."""

Mask = NDArray[np.bool_]
"""Which items may be recommended, `[items + 1]` by item index; place 0 is padding."""

Vectors = NDArray[np.float32]
"""Item vectors, `[items, hidden]`."""


@dataclass(frozen=True, slots=True)
class IndexQuery:
    """A query to the student in item indices.

    Attributes:
        history: items of the session, oldest first.
        k: number of items to rank.
        excluded: items that must not be recommended.
        allowed: mask of the items that may be recommended; None = all.
        mask_seen: whether the items of `history` must not be recommended.
    """

    history: Sequence[int]
    k: int
    excluded: Sequence[int] = ()
    allowed: Mask | None = None
    mask_seen: bool = True
