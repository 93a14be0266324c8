"""Agreement of two rankings: overlap and rank correlation."""

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
    """Returns overlap@k: the number of common items over the length of the longer ranking."""
    return len(set(one) & set(other)) / max(len(one), len(other))


def rank_correlation(one: Sequence[str], other: Sequence[str]) -> float:
    """Returns Kendall's tau of two top-k lists over the union of their items.

    Items that a list lacks share the place after its last. A pair that is tied in either list
    counts 0. So this is `1 - 2 K / pairs` with K the distance K^(1/2) of Fagin, Kumar and
    Sivakumar, "Comparing top k lists", SIAM J. Discrete Math. 17(1), 2003. Equal lists have 1, a
    list and its reverse -1, two disjoint lists -k / (2k - 1).
    """
    union = list(dict.fromkeys([*one, *other]))
    if len(union) == 1:
        return 1.0
    concordance = _order(one, union) * _order(other, union)  # [union, union], each pair twice
    pairs = len(union) * (len(union) - 1)
    return float(concordance.sum() / pairs)


def _order(ranking: Sequence[str], union: Sequence[str]) -> NDArray[np.int64]:
    """Returns `[union, union]`: -1 if the first item precedes the second, 0 for a tie, else 1."""
    place_of = {item_id: place for place, item_id in enumerate(ranking)}
    places = np.array([place_of.get(item_id, len(ranking)) for item_id in union])
    order: NDArray[np.int64] = np.sign(places[:, None] - places)
    return order
