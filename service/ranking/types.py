"""The vocabulary of ranking: item indices, scores, masks and queries, as the student reads them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ranking = Sequence[tuple[int, float]]
"""Item indices and scores, best first."""


Mask = NDArray[np.bool_]
"""What may be answered, by item index; place 0 is padding."""


Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class IndexQuery:
    """What the student is asked, in item indices; `allowed` None = everything."""

    history: Sequence[int]
    k: int
    excluded: Sequence[int] = ()
    allowed: Mask | None = None
    mask_seen: bool = True
