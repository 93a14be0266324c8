"""Recommends the items whose titles are nearest to the titles of a history, without training."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from training.compute.columns import standardised
from training.data.dataset import Dataset, IntArray
from training.data.histories import pad_histories

DEPTH = 10  # number of newest items of a history that are read
TINY = 1e-6  # smallest norm that a vector is divided by


class TitleNeighbours:
    """Scores an item by the negative distance of its title from the titles of the history.

    Titles are compared by their standardised embeddings, scaled to unit length. The vector of a
    history is the weighted sum of its newest `DEPTH` titles' vectors, scaled to unit length again.

    Args:
        dataset: dataset of the histories.
        item_embeddings: `[catalog rows, size]`, LLM embeddings of titles; row 0 is not read.
        decay: weight of a title relative to the next newer one, in [0, 1]. With 0 only the last
            title counts.
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
        """Returns scores of all items for each dataset row in `rows`, `[rows, catalog rows]`."""
        return -self.distances_before(rows)

    def distances_before(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns distances of all items from the history of each row, `[rows, catalog rows]`.

        Distances are between 0 and 2.

        Args:
            rows: `[rows]`, dataset rows of examples.
        """
        return self.distances_after(self._histories(rows))

    def distances_after(self, histories: Sequence[IntArray]) -> NDArray[np.float32]:
        """Returns distances of all items from each history, `[histories, catalog rows]`.

        Distances are between 0 and 2. A history is an array of item indices, oldest first.
        """
        return distances_of_cosines(self._queries(histories) @ self.directions.T)

    def distances(self, rows: NDArray[np.int64], items: NDArray[np.integer]) -> NDArray[np.float32]:
        """Returns distances of selected items from the history of each row, `[rows, items]`.

        Distances are between 0 and 2.

        Args:
            rows: `[rows]`, dataset rows of examples.
            items: `[rows, items]`, item indices.
        """
        queries = self._queries(self._histories(rows))
        return distances_of_cosines(np.einsum("nh,nkh->nk", queries, self.directions[items]))

    def _histories(self, rows: NDArray[np.int64]) -> list[IntArray]:
        return [self.dataset.history(int(row)) for row in rows]

    def _queries(self, histories: Sequence[IntArray]) -> NDArray[np.float32]:
        """Returns the vectors of histories, scaled to unit length, `[histories, size]`."""
        titles = self.directions[pad_histories(histories, len(self.weights))]
        queries: NDArray[np.float32] = np.einsum("nlh,l->nh", titles, self.weights)
        lengths = np.linalg.norm(queries, axis=1, keepdims=True)
        queries /= np.maximum(lengths, TINY)
        return queries


def distances_of_cosines(cosines: NDArray[np.float32]) -> NDArray[np.float32]:
    """Converts cosine similarities of unit vectors to Euclidean distances, in the same shape."""
    distances: NDArray[np.float32] = np.sqrt(np.maximum(2 - 2 * cosines, 0))
    return distances
