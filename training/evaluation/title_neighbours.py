"""Nearest titles to the last item: what title embeddings know without reading a history."""

import numpy as np
import torch
from numpy.typing import NDArray

from training.data.dataset import Dataset
from training.students.student import standardised


class TitleNeighbours:
    """Scores an item by minus the distance of its title from that of the last item.

    Args:
        dataset: gives the last items.
        item_embeddings: `[catalog rows, size]`, row 0 is not read.
    """

    def __init__(self, dataset: Dataset, item_embeddings: NDArray[np.float32]) -> None:
        self.dataset = dataset
        embeddings = standardised(torch.from_numpy(item_embeddings[1:]))
        directions = torch.nn.functional.normalize(embeddings)
        self.directions = torch.cat([torch.zeros_like(directions[:1]), directions]).numpy()

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores, `[rows, catalog rows]`."""
        last = self.dataset.item_indices[rows - 1]
        return -distances_of_cosines(self.directions[last] @ self.directions.T)

    def distances(self, rows: NDArray[np.int64], items: NDArray[np.integer]) -> NDArray[np.float32]:
        """Distances, in [0, 2], of `items` `[rows, any number]` from the last item of each row."""
        last = self.directions[self.dataset.item_indices[rows - 1]]
        cosines = np.einsum("nh,nkh->nk", last, self.directions[items])
        return distances_of_cosines(cosines)


def distances_of_cosines(cosines: NDArray[np.float32]) -> NDArray[np.float32]:
    """Euclidean distances between unit vectors."""
    distances: NDArray[np.float32] = np.sqrt(np.maximum(2 - 2 * cosines, 0))
    return distances
