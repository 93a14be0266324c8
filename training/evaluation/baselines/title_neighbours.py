"""Recommendation by nearest titles: a history is embedded by its titles, without any training."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from training.compute.columns import standardised
from training.data.dataset import Dataset, IntArray
from training.data.histories import pad_histories

DEPTH = 10  # number of newest items that are read
TINY = 1e-6  # least norm that a vector is divided by


class TitleNeighbours:
    """Scores an item by minus the distance of its title from the titles of the history.

    The direction of a history is the weighted sum of its titles' directions. Each title has
    `decay` times the weight of the one after it; with a decay of 0 only the last title counts.

    Args:
        dataset: of the histories.
        item_embeddings: `[catalog rows, size]`; row 0, padding, is not read.
        decay: in [0, 1].
    """

    def __init__(
        self, dataset: Dataset, item_embeddings: NDArray[np.float32], decay: float = 0.0
    ) -> None:
        self.dataset = dataset
        embeddings = standardised(torch.from_numpy(item_embeddings[1:]))
        directions = torch.nn.functional.normalize(embeddings)
        self.directions = torch.cat([torch.zeros_like(directions[:1]), directions]).numpy()
        self.weights = (decay ** np.arange(DEPTH if decay else 1)[::-1]).astype(np.float32)

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores, `[rows, catalog rows]`."""
        return -self.distances_before(rows)

    def distances_before(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Distances of all items from the history before each row, `[rows, catalog rows]`."""
        return self.distances_after(self._histories(rows))

    def distances_after(self, histories: Sequence[IntArray]) -> NDArray[np.float32]:
        """Distances of all items from each history, in [0, 2], `[histories, catalog rows]`."""
        return distances_of_cosines(self._queries(histories) @ self.directions.T)

    def distances(self, rows: NDArray[np.int64], items: NDArray[np.integer]) -> NDArray[np.float32]:
        """Distances of `items` from the history of each row, in [0, 2], `[rows, items]`."""
        queries = self._queries(self._histories(rows))
        return distances_of_cosines(np.einsum("nh,nkh->nk", queries, self.directions[items]))

    def _histories(self, rows: NDArray[np.int64]) -> list[IntArray]:
        return [self.dataset.history(int(row)) for row in rows]

    def _queries(self, histories: Sequence[IntArray]) -> NDArray[np.float32]:
        """Directions of histories as unit vectors, `[histories, size]`."""
        titles = self.directions[pad_histories(histories, len(self.weights))]
        queries: NDArray[np.float32] = np.einsum("nlh,l->nh", titles, self.weights)
        lengths = np.linalg.norm(queries, axis=1, keepdims=True)
        queries /= np.maximum(lengths, TINY)
        return queries


def distances_of_cosines(cosines: NDArray[np.float32]) -> NDArray[np.float32]:
    """Euclidean distances between unit vectors, from their cosines."""
    distances: NDArray[np.float32] = np.sqrt(np.maximum(2 - 2 * cosines, 0))
    return distances
