"""Diversity by maximal marginal relevance (Carbonell and Goldstein, 1998).

Items are chosen one by one. The next item is the one with the largest value of

    (1 - diversity) · relevance - diversity · similarity

`relevance` is the item's score, scaled so that the worst item of the pool has 0 and the best has 1.
`similarity` is the largest cosine of the item's vector with that of an item chosen before, and 0
for the first item.
"""

import numpy as np
from numpy.typing import NDArray

from service.ranking.rules.types import Scored
from service.ranking.rules.value_limits import ValueLimits

UnitVectors = NDArray[np.float64]
"""Vectors of length 1, one per row: `[items, hidden]`."""

_ITEMS_PER_PLACE = 10
_MAX_POOL = 1000


def pool_size(k: int) -> int:
    """Returns the size of the pool, the best items among which diversity chooses `k` items.

    The pool has ten items for each of the `k` places, but at most 1,000, and at least two for each
    place.
    """
    return max(min(_ITEMS_PER_PLACE * k, _MAX_POOL), 2 * k)


def choose_diverse(
    pool: Scored,
    vectors: UnitVectors,
    pinned: UnitVectors,
    diversity: float,
    number: int,
    limits: ValueLimits,
) -> list[int]:
    """Chooses up to `number` items of `pool`; returns their rows in `pool`, first choice first.

    Args:
        pool: the items to choose from, best first.
        vectors: `[pool, hidden]`, the vectors of these items.
        pinned: `[pinned, hidden]`, the vectors of the items that were chosen before.
        diversity: weight of the similarity, in [0, 1].
        number: maximum number of items to choose.
        limits: the limits by value; the chosen items are counted in them.
    """
    indices, scores = pool
    relevance = (1 - diversity) * _scaled(scores)
    similarity = _largest_cosines(vectors, pinned)
    chosen: list[int] = []
    for _ in range(len(indices)):
        if len(chosen) == number:
            break
        position = int(np.argmax(relevance - diversity * similarity))
        relevance[position] = -np.inf  # neither chosen nor tried again
        if not limits.refused[indices[position]]:
            cosines = vectors @ vectors[position]
            is_first = not chosen and not len(pinned)
            similarity = cosines if is_first else np.maximum(similarity, cosines)
            limits.count(int(indices[position]))
            chosen.append(position)
    return chosen


def _scaled(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scales scores, which are sorted best first, to [0, 1]; equal scores all become 1."""
    if not len(scores) or scores[0] == scores[-1]:
        return np.ones_like(scores)
    scaled: NDArray[np.float64] = (scores - scores[-1]) / (scores[0] - scores[-1])
    return scaled


def _largest_cosines(vectors: UnitVectors, others: UnitVectors) -> NDArray[np.float64]:
    if not len(others):
        return np.zeros(len(vectors))
    largest: NDArray[np.float64] = (vectors @ others.T).max(axis=1)
    return largest
