"""The two simplest baselines, which count interactions: popularity and last-item transitions."""

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import Dataset, Split
from training.evaluation.baselines.tuning import best_on_validation
from training.evaluation.yardstick import Scorer

POPULARITY_SHARES = (0.001, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7)


def popularity(dataset: Dataset, fitted_on: Dataset | None = None) -> Scorer:
    """Returns the popularity baseline: an item's score is its share of the training interactions.

    There are no settings to tune.

    Args:
        dataset: dataset of the examples.
        fitted_on: view whose training rows are counted, for a refit; None for `dataset`.
    """
    shares = _popularity_shares(fitted_on or dataset)

    def score(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.tile(shares, (len(rows), 1))

    return score


class Transitions:
    """The last-item baseline: an item's score is `(1 - s) * P(item | last item) + s * P(item)`.

    `P(item | last item)` is the item's share among the items that directly followed the last item
    in training histories. `P(item)` is the item's popularity, which orders the items that never
    followed the last item. `s` is the popularity share, in [0, 1].
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
        """Returns scores of all items for each dataset row in `rows`, `[rows, catalog rows]`."""
        scores = np.tile(self.popularity_share * self.popularity, (len(rows), 1))
        for line, last in zip(scores, self.dataset.item_indices[rows - 1], strict=True):
            followers = slice(self.begins[last], self.begins[last + 1])
            counts = self.counts[followers]
            line[self.next_items[followers]] += (
                (1 - self.popularity_share) * counts / max(counts.sum(), 1)
            )
        return scores


def tuned_transitions(dataset: Dataset, fitted_on: Dataset | None = None) -> Transitions:
    """Returns the last-item baseline with the popularity share that is best on validation.

    Args:
        dataset: dataset whose validation examples choose the popularity share.
        fitted_on: view whose training rows are counted, for a refit; None for `dataset`.
    """

    def transitions(share: float) -> Transitions:
        return Transitions(dataset, share)

    share = best_on_validation(POPULARITY_SHARES, transitions, dataset, "tuning last-item")
    return Transitions(fitted_on or dataset, share)


def _popularity_shares(dataset: Dataset) -> NDArray[np.float32]:
    counts = dataset.train_counts()
    shares: NDArray[np.float32] = (counts / counts.sum()).astype(np.float32)
    return shares
