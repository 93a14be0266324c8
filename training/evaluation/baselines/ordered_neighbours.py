"""Order-aware kNN: recommends what came soon after the latest match in similar sessions.

Like VMIS-kNN it compares sessions with the latest items of a history. It also uses the places of
the items in a neighbour's session, as V-SKNN and S-SKNN do (Ludewig and Jannach, "Evaluation of
session-based recommendation algorithms", 2018).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import Dataset
from training.evaluation.baselines.sessions import Sessions, distinct_latest
from training.evaluation.baselines.tuning import tuned

OPTIONS: Mapping[str, Sequence[float]] = {
    "num_neighbours": (50, 200, 1_000, 5_000),
    "history_length": (5, 10, 20, 40),
    "length_exponent": (0.0, 0.5, 1.0),
    "reach": (2.0, 4.0, 8.0, 16.0, 64.0),
    "backward": (0.0, 0.3, 0.6, 1.0),
}


@dataclass(frozen=True)
class OrderedSettings:
    """The settings of order-aware kNN.

    Attributes:
        num_neighbours: number of most similar sessions that vote.
        history_length: number of latest distinct items that sessions are compared with.
        length_exponent: power of a session's length that its similarity is divided by.
        reach: distance in items from the match at which an item's vote is `1 / e`.
        backward: factor of the vote for an item before the match.
    """

    num_neighbours: int = 1_000
    history_length: int = 10
    length_exponent: float = 0.5
    reach: float = 4.0
    backward: float = 0.3


START = OrderedSettings()
"""The settings that tuning starts from."""


class OrderedNeighbours:
    """Scores an item by its distance from the latest match in each neighbouring session.

    `score(i) = log(sessions / sessions with i) * sum_n vote(n, i)`, summed over the neighbours `n`
    that have `i`. `vote(n, i) = similarity(n) * weight * exp(-distance / reach)`, times `backward`
    if `i` comes before the match. The `p`-th latest of `l` items of the history has the weight
    `1 - (p - 1) / l`. `similarity(n)` sums the weights of the shared items, divided by
    `length(n) ** length_exponent`. The match is the latest shared item.
    """

    def __init__(self, dataset: Dataset, settings: OrderedSettings) -> None:
        self.dataset = dataset
        self.settings = settings
        self.index = Sessions(dataset)
        sessions_with = np.maximum(self.index.sessions_with, 1)
        self.rarity = np.log(max(self.index.num_sessions, 1) / sessions_with)
        self.fallback = self.index.popularity
        self.norms = np.maximum(self.index.lengths, 1) ** settings.length_exponent
        longest = int(self.index.lengths.max(initial=0))
        self.decay = np.exp(-np.arange(longest + 1) / settings.reach)

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns scores of all items for each example row, `[rows, catalog rows]`."""
        return np.stack([self._score(int(row)) for row in rows])

    def _score(self, row: int) -> NDArray[np.float32]:
        neighbours, votes, matches = self._neighbours(row)
        pairs, owners = self.index.pairs_of_session.members_of(neighbours)
        distances = self.index.places[pairs] - matches[owners]
        weights = votes[owners] * self.decay[np.abs(distances)]
        weights[distances <= 0] *= self.settings.backward
        counts = np.bincount(self.index.items[pairs], weights=weights, minlength=len(self.rarity))
        scores: NDArray[np.float32] = (counts * self.rarity + self.fallback).astype(np.float32)
        return scores

    def _neighbours(
        self, row: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
        """Returns the most similar sessions, `similarity * weight` and the place of the match."""
        latest = distinct_latest(self.dataset.history(row), self.settings.history_length)
        weights = 1 - np.arange(len(latest)) / len(latest)
        pairs, indices = self.index.matches(row, latest)
        sessions, first, found = np.unique(
            self.index.sessions[pairs], return_index=True, return_inverse=True
        )
        sums = np.bincount(found, weights=weights[indices], minlength=len(sessions))
        similarities = sums / self.norms[sessions]
        best = np.argsort(-similarities, kind="stable")[: self.settings.num_neighbours]
        # Matches come newest first, so a session's first one is that of its latest shared item.
        match = first[best]
        votes = similarities[best] * weights[indices[match]]
        return sessions[best], votes, self.index.places[pairs[match]]


def tuned_ordered_neighbours(
    dataset: Dataset, fitted_on: Dataset | None = None
) -> OrderedNeighbours:
    """Returns order-aware kNN with the settings that validation examples of `dataset` choose.

    It is fitted on the training rows of `fitted_on`; None for those of `dataset`.
    """

    def neighbours(settings: OrderedSettings) -> OrderedNeighbours:
        return OrderedNeighbours(dataset, settings)

    settings = tuned(START, OPTIONS, neighbours, dataset, "tuning order-aware kNN")
    return OrderedNeighbours(fitted_on or dataset, settings)
