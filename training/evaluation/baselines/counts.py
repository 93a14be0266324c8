"""The two simplest baselines, which count interactions: popularity and last-item transitions."""

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import Dataset, Split
from training.evaluation.baselines.tuning import best_on_validation
from training.evaluation.yardstick import Scorer

POPULARITY_SHARES = (0.001, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7)


def popularity(dataset: Dataset, fitted_on: Dataset | None = None) -> Scorer:
    """Returns a scorer whose score of an item is its share of the training interactions.

    It has no settings, so `dataset` is only read if `fitted_on` is None.
    """
    shares = _popularity_shares(fitted_on or dataset)

    def score(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.tile(shares, (len(rows), 1))

    return score


class Transitions:
    """Scores an item by `(1 - s) * P(item | last item) + s * P(item)`.

    The first probability is counted on training rows and the row before each. The second one, the
    item's popularity, orders the items that never followed the last item. `s` is the popularity
    share.
    """

    def __init__(self, dataset: Dataset, popularity_share: float) -> None:
        self.dataset = dataset
        self.popularity_share = popularity_share
        self.popularity = _popularity_shares(dataset)
        rows = dataset.example_rows(Split.TRAIN)
        pairs = np.stack([dataset.item_indices[rows - 1], dataset.item_indices[rows]], axis=1)
        unique, counts = np.unique(pairs, axis=0, return_counts=True)  # ascending by last item
        self.next_items, self.counts = unique[:, 1], counts.astype(np.float32)
        items = np.arange(dataset.catalog.num_rows + 1)
        self.begins = np.searchsorted(unique[:, 0], items)  # pairs of item i: begins[i:i + 2]

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns scores of all items for each example row, `[rows, catalog rows]`."""
        scores = np.tile(self.popularity_share * self.popularity, (len(rows), 1))
        for line, last in zip(scores, self.dataset.item_indices[rows - 1], strict=True):
            followers = slice(self.begins[last], self.begins[last + 1])
            counts = self.counts[followers]
            line[self.next_items[followers]] += (
                (1 - self.popularity_share) * counts / max(counts.sum(), 1)
            )
        return scores


def tuned_transitions(dataset: Dataset, fitted_on: Dataset | None = None) -> Transitions:
    """Returns transitions with the popularity share that is best on the validation examples.

    The share is chosen on `dataset`; transitions are counted on `fitted_on`, None for the same.
    """

    def transitions(share: float) -> Transitions:
        return Transitions(dataset, share)

    share = best_on_validation(POPULARITY_SHARES, transitions, dataset, "tuning last-item")
    return Transitions(fitted_on or dataset, share)


def _popularity_shares(dataset: Dataset) -> NDArray[np.float32]:
    counts = dataset.train_counts()
    shares: NDArray[np.float32] = (counts / counts.sum()).astype(np.float32)
    return shares
