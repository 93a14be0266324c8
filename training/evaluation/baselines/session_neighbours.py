"""VMIS-kNN as in Serenade: recommends the items of recent users with a similar recent history.

Source: Kersbergen et al., "Serenade", SIGMOD 2022, and its reference implementation. This module
differs in three ways. A session is all training interactions of one user. A session counts as more
recent if it comes later in the dataset, because a dataset has no timestamps. If no session has an
item of the history, items are ranked by popularity.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import Dataset
from training.evaluation.baselines.sessions import Sessions
from training.evaluation.baselines.tuning import tuned

LONGEST = 0.995  # quantile of the lengths of sessions; longer ones are left out
MATCH_STEP = 0.1  # by how much the match weight falls with each older position
DECIMALS = 9  # sums of equal weights in another order are equal after rounding
OPTIONS: Mapping[str, Sequence[int]] = {
    "num_neighbours": (50, 200, 1_000),
    "history_length": (2, 5, 10),
    "num_recent": (1_000, 5_000, 25_000),
}


@dataclass(frozen=True)
class NeighbourSettings:
    """Settings of VMIS-kNN.

    Attributes:
        num_neighbours: number of most similar sessions whose items are scored.
        history_length: number of latest items of the history that sessions are compared with.
        num_recent: number of most recent sessions, among those with a shared item, to compare.
    """

    num_neighbours: int = 200
    history_length: int = 5
    num_recent: int = 5_000


START = NeighbourSettings()
"""The settings that tuning starts from."""


class SessionNeighbours:
    """Scores an item by the similarity of the neighbouring sessions that contain it.

    `score(i) = log(interactions / sessions with i) * sum_n [i in n] * similarity(n) * match(n)`,
    summed over the neighbours `n`. `similarity(n)` sums the weights of the items that the history
    and `n` share. The weight of the `p`-th latest of `l` items is `(l - p + 1) / distinct items`.
    `match(n)` is `1 - 0.1 p`, but at least 0, where the latest shared item is the `p`-th latest of
    the history. Among equally similar sessions, more recent ones are preferred.
    """

    def __init__(self, dataset: Dataset, settings: NeighbourSettings) -> None:
        self.dataset = dataset
        self.settings = settings
        self.index = Sessions(dataset, _not_among_the_longest)
        num_pairs = max(len(self.index.items), 1)
        self.rarity = np.log(num_pairs / np.maximum(self.index.sessions_with, 1))
        self.fallback = self.index.popularity

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns scores of all items for each dataset row in `rows`, `[rows, catalog rows]`."""
        return np.stack([self._score(int(row)) for row in rows])

    def _score(self, row: int) -> NDArray[np.float32]:
        neighbours, votes = self._neighbours(row)
        pairs, owners = self.index.pairs_of_session.members_of(neighbours)
        items = self.index.items[pairs]
        counts = np.bincount(items, weights=votes[owners], minlength=len(self.rarity))
        scores: NDArray[np.float32] = (counts * self.rarity + self.fallback).astype(np.float32)
        return scores

    def _neighbours(self, row: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Finds the sessions that are most similar to the history of `row`.

        Returns:
            The numbers of the sessions, and `similarity * match` of each; both are `[neighbours]`.
        """
        settings = self.settings
        latest = self.dataset.history(row)[: -settings.history_length - 1 : -1]
        items, positions = np.unique(latest, return_index=True)  # an item's latest position
        newest_first = np.argsort(positions)
        items, positions = items[newest_first], positions[newest_first]
        weights = (len(latest) - positions) / len(items)
        pairs, indices = self.index.matches(row, items)
        sessions, first, found = np.unique(
            self.index.sessions[pairs], return_index=True, return_inverse=True
        )
        similarities = np.bincount(found, weights=weights[indices], minlength=len(sessions))
        # Matches come newest first, so a session's first one is that of its latest shared item.
        match = np.maximum(1 - MATCH_STEP * (positions[indices[first]] + 1), 0)
        recent = np.arange(len(sessions))[: -settings.num_recent - 1 : -1]
        order = np.argsort(-similarities[recent].round(DECIMALS), kind="stable")
        best = recent[order[: settings.num_neighbours]]
        return sessions[best], (similarities * match)[best]


def tuned_session_neighbours(
    dataset: Dataset, fitted_on: Dataset | None = None
) -> SessionNeighbours:
    """Returns VMIS-kNN with the settings that are best on validation.

    Args:
        dataset: dataset whose validation examples choose the settings.
        fitted_on: view whose training rows are the sessions, for a refit; None for `dataset`.
    """

    def neighbours(settings: NeighbourSettings) -> SessionNeighbours:
        return SessionNeighbours(dataset, settings)

    settings = tuned(START, OPTIONS, neighbours, dataset, "tuning VMIS-kNN")
    return SessionNeighbours(fitted_on or dataset, settings)


def _not_among_the_longest(lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Returns which sessions are used, of those with `lengths`; of a few sessions, all are."""
    existing = lengths[lengths > 0]
    if len(existing) * (1 - LONGEST) < 1:
        return lengths > 0
    kept: NDArray[np.bool_] = lengths <= np.quantile(existing, LONGEST)
    return kept
