"""Prepares item vectors for a search by blocks: turns their axes, and orders them by similarity.

Most of a trained model's scores come from few directions. `Axes` turns item and query vectors so
that the first coordinates, the head, carry as much of an average score as possible. The other
coordinates are the tail. The product of two vectors does not change: it is the product of their
heads plus the product of their tails. `block_order` puts similar items into the same block.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.graphs.codes import parts_of

Floats = NDArray[np.floating]

# Share of the mean variance of the queries that is added in every direction. The queries that are
# seen at export are few and of one kind; later queries differ from them.
UNSEEN_VARIANCE = 0.3
# Number of item vectors from which the axes are computed, and from which a block's split is chosen.
NUM_SAMPLED, NUM_SAMPLED_OF_BLOCK = 65_536, 2_048
# Number of coordinates by which items are put into blocks. Later ones decide too little.
NUM_SPLIT = 12


@dataclass(frozen=True)
class Axes:
    """Two matrices that turn item and query vectors without changing their dot products.

    Attributes:
        of_items: `[hidden, hidden]`; item vectors times this matrix are the items' coordinates.
        of_queries: `[hidden, hidden]`; query vectors times this matrix are the queries'
            coordinates.
        weights: `[hidden]`, the product of the standard deviations of the queries and of the items
            in each coordinate, largest first.
    """

    of_items: NDArray[np.float64]
    of_queries: NDArray[np.float64]
    weights: NDArray[np.float64]


def axes_of(vectors: Floats, queries: Floats) -> Axes:
    """Computes axes whose first coordinates carry most of the product of item and query vectors.

    In each coordinate, items and queries get the same standard deviation. So rounding item
    coordinates loses about as much as rounding query coordinates.

    Args:
        vectors: `[items, hidden]`, item vectors; a sample of them is read.
        queries: `[queries, hidden]`, typical query vectors.
    """
    sample = vectors[:: max(1, len(vectors) // NUM_SAMPLED)].astype(np.float64)
    root = _root(_second_moment(queries.astype(np.float64), UNSEEN_VARIANCE))
    variances, turn = np.linalg.eigh(root @ _second_moment(sample, 1e-9) @ root)
    variances, turn = np.maximum(variances[::-1], variances[-1] * 1e-9), turn[:, ::-1]
    scale = variances**0.25
    return Axes(root @ turn / scale, np.linalg.inv(root) @ turn * scale, np.sqrt(variances))


def block_order(coordinates: Floats, size: int) -> NDArray[np.int64]:
    """Orders items so that every `size` consecutive items are similar.

    Halves the items again and again, across the direction in which they differ most.

    Args:
        coordinates: `[items, coordinates]`, the items' coordinates, each weighted by its share in
            scores.
        size: number of items in a block; only the last block can have fewer.

    Returns:
        `[items]`, the rows of `coordinates` in their new order.
    """
    keys = np.ascontiguousarray(coordinates[:, :NUM_SPLIT])
    order = np.arange(len(keys))
    pending = [(0, len(keys))]
    while pending:
        begin, end = pending.pop()
        middle = begin + (end - begin + size) // (2 * size) * size
        if end - begin <= size or middle in (begin, end):
            continue
        rows = order[begin:end]
        direction = _longest_direction(keys[rows[:: max(1, len(rows) // NUM_SAMPLED_OF_BLOCK)]])
        values = np.concatenate([keys[rows[part]] @ direction for part in parts_of(len(rows))])
        order[begin:end] = rows[np.argpartition(values, middle - begin)]
        pending += [(begin, middle), (middle, end)]
    return order


def _longest_direction(sample: Floats) -> Floats:
    """Returns the direction in which the rows of `sample` vary most, as a unit vector."""
    apart = sample - sample.mean(axis=0)
    direction: Floats = np.linalg.eigh(apart.T @ apart)[1][:, -1]
    return direction


def _second_moment(vectors: NDArray[np.float64], added_share: float) -> NDArray[np.float64]:
    """Returns the mean of `v vᵀ` over vectors `v`, with a constant added to its diagonal.

    The constant is `added_share` times the mean of the diagonal.
    """
    moment = vectors.T @ vectors / len(vectors)
    size = len(moment)
    added = added_share * np.trace(moment) / size + np.finfo(np.float64).tiny
    result: NDArray[np.float64] = moment + added * np.eye(size)
    return result


def _root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(matrix)
    root: NDArray[np.float64] = (vectors * np.sqrt(values)) @ vectors.T
    return root
