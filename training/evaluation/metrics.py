"""Computes HR@k and NDCG@k with one relevant item, over the full catalog, for each example."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

NOT_RANKED = 0  # rank of a next item that is not in the list


def ranks_of(next_items: NDArray[np.integer], rankings: NDArray[np.integer]) -> NDArray[np.int64]:
    """Returns the rank of each next item, from 1, `[examples]`; 0 if it is not in the ranking.

    Args:
        next_items: `[examples]`, item indices.
        rankings: `[examples, list length]`, item indices, best first.
    """
    found = rankings == next_items[:, None]
    return np.where(found.any(axis=1), found.argmax(axis=1) + 1, NOT_RANKED)


def hit_rates(ranks: NDArray[np.integer], k: int) -> NDArray[np.float64]:
    """Returns HR@k for each rank: 1 for ranks 1 to `k`, else 0."""
    hits = (ranks != NOT_RANKED) & (ranks <= k)
    return np.where(hits, 1.0, 0.0)


def ndcgs(ranks: NDArray[np.integer], k: int) -> NDArray[np.float64]:
    """Returns NDCG@k for each rank: `1 / log2(rank + 1)` for ranks 1 to `k`, else 0."""
    gains: NDArray[np.float64] = hit_rates(ranks, k) / np.log2(np.maximum(ranks, 1) + 1)
    return gains


METRIC_FUNCTIONS: Mapping[str, Callable[[NDArray[np.integer], int], NDArray[np.float64]]] = {
    "HR": hit_rates,
    "NDCG": ndcgs,
}


def metric_values(ranks: NDArray[np.integer], metric: str) -> NDArray[np.float64]:
    """Returns the value of `metric`, such as `NDCG@20`, for each of `ranks`, in the same shape."""
    name, _, k = metric.partition("@")
    return METRIC_FUNCTIONS[name](ranks, int(k))
