"""Measures how well two rankings agree, by overlap and rank correlation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Agreement:
    """Measures of the agreement of two rankings.

    Attributes:
        overlap: number of common items, divided by the length of the longer ranking; in [0, 1].
        rank_correlation: Kendall's tau over the union of their items, in [-1, 1].
    """

    overlap: float
    rank_correlation: float


def agreement(one: Sequence[str], other: Sequence[str]) -> Agreement:
    """Measures how well two rankings agree, by overlap and by rank correlation.

    The rankings are item ids, best first. They must not be empty or have repeated items.
    """
    return Agreement(overlap(one, other), rank_correlation(one, other))


def overlap(one: Sequence[str], other: Sequence[str]) -> float:
    """Returns overlap@k: the number of common items divided by the longer ranking's length.

    The rankings are item ids. They must not both be empty or have repeated items.
    """
    return len(set(one) & set(other)) / max(len(one), len(other))


def rank_correlation(one: Sequence[str], other: Sequence[str]) -> float:
    """Returns Kendall's tau of two rankings, item ids from the best on, over all their items.

    Items that a ranking lacks are tied at the rank after its last item. A pair of items counts 1 if
    both rankings order it alike, -1 if they order it differently, and 0 if it is tied in either.
    The result is the mean over all pairs.

    The result equals `1 - 2 K / pairs`, where K is the distance K^(1/2) of Fagin, Kumar and
    Sivakumar, "Comparing top k lists", SIAM J. Discrete Math. 17(1), 2003. It is 1 for equal
    rankings, -1 for a ranking and its reverse, and -k / (2k - 1) for two disjoint rankings of
    length k.
    """
    union = list(dict.fromkeys([*one, *other]))
    if len(union) == 1:
        return 1.0
    concordance = _order(one, union) * _order(other, union)  # [union, union], each pair twice
    pairs = len(union) * (len(union) - 1)
    return float(concordance.sum() / pairs)


def _order(ranking: Sequence[str], union: Sequence[str]) -> NDArray[np.int64]:
    """Returns how `ranking` orders each pair of items of `union`, as an array `[union, union]`.

    `union` holds the items of both rankings that are compared. Items that `ranking` lacks follow
    all items that it has, and are tied with each other. An entry is -1 if the row's item precedes
    the column's item, 1 if it follows, and 0 if both are tied or the same.
    """
    rank_of = {item_id: rank for rank, item_id in enumerate(ranking, start=1)}
    ranks = np.array([rank_of.get(item_id, len(ranking) + 1) for item_id in union])
    order: NDArray[np.int64] = np.sign(ranks[:, None] - ranks)
    return order
