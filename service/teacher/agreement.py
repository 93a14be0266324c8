"""How much two rankings agree."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Agreement:
    """Overlap in [0, 1] and rank correlation in [-1, 1]."""

    overlap: float
    rank_correlation: float


def agreement(one: Sequence[str], other: Sequence[str]) -> Agreement:
    """Compares two rankings, none empty, each without repeats."""
    return Agreement(overlap(one, other), rank_correlation(one, other))


def overlap(one: Sequence[str], other: Sequence[str]) -> float:
    """Overlap@k: the share of items that both hold, of the longer ranking."""
    return len(set(one) & set(other)) / max(len(one), len(other))


def rank_correlation(one: Sequence[str], other: Sequence[str]) -> float:
    """Kendall's tau of two top-k lists over the union of their items.

    Items that a list lacks share the place behind its last. A pair that either list ties counts
    0, so this is `1 - 2 K / pairs` with K the distance K^(1/2) of Fagin, Kumar and Sivakumar,
    "Comparing top k lists", SIAM J. Discrete Math. 17(1), 2003. Equal lists have 1, a list and its
    reverse -1, two disjoint lists -k / (2k - 1).
    """
    union = list(dict.fromkeys([*one, *other]))
    if len(union) == 1:
        return 1.0
    concordance = _order(one, union) * _order(other, union)  # [union, union], each pair twice
    pairs = len(union) * (len(union) - 1)
    return float(concordance.sum() / pairs)


def _order(ranking: Sequence[str], union: Sequence[str]) -> NDArray[np.int64]:
    """`[union, union]`: -1 where the first item comes before the second, 0 for a tie."""
    place_of = {item_id: place for place, item_id in enumerate(ranking)}
    places = np.array([place_of.get(item_id, len(ranking)) for item_id in union])
    order: NDArray[np.int64] = np.sign(places[:, None] - places)
    return order
