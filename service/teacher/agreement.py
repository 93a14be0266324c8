"""Measures how far two rankings agree: overlap and rank correlation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two rankings agree.

    Attributes:
        overlap: number of common items over the length of the longer ranking, in [0, 1].
        rank_correlation: Kendall's tau over the union of their items, in [-1, 1].
    """

    overlap: float
    rank_correlation: float


def agreement(one: Sequence[str], other: Sequence[str]) -> Agreement:
    """Measures the agreement of two rankings of item ids, not empty and without repeats."""
    return Agreement(overlap(one, other), rank_correlation(one, other))


def overlap(one: Sequence[str], other: Sequence[str]) -> float:
    """Returns overlap@k: number of common items over the length of the longer ranking."""
    return len(set(one) & set(other)) / max(len(one), len(other))


def rank_correlation(one: Sequence[str], other: Sequence[str]) -> float:
    """Returns Kendall's tau of two top-k lists over the union of their items.

    Items that a list lacks are tied at the rank after its last item. A pair of items that is tied
    in either list counts 0. So the result is `1 - 2 K / pairs`, where K is the distance K^(1/2) of
    Fagin, Kumar and Sivakumar, "Comparing top k lists", SIAM J. Discrete Math. 17(1), 2003. Equal
    lists have 1, a list and its reverse -1, two disjoint lists -k / (2k - 1).
    """
    union = list(dict.fromkeys([*one, *other]))
    if len(union) == 1:
        return 1.0
    concordance = _order(one, union) * _order(other, union)  # [union, union], each pair twice
    pairs = len(union) * (len(union) - 1)
    return float(concordance.sum() / pairs)


def _order(ranking: Sequence[str], union: Sequence[str]) -> NDArray[np.int64]:
    """Returns the order of each pair of items in `ranking`, `[union, union]`.

    -1 if the item of the row precedes the item of the column, 0 if they are tied, else 1.
    """
    rank_of = {item_id: rank for rank, item_id in enumerate(ranking, start=1)}
    ranks = np.array([rank_of.get(item_id, len(ranking) + 1) for item_id in union])
    order: NDArray[np.int64] = np.sign(ranks[:, None] - ranks)
    return order
