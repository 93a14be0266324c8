"""Order-aware kNN: recommends items that occur near the latest shared item in similar sessions.

Like VMIS-kNN it compares sessions with the latest items of a history. It also uses the positions of
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
    """Settings of order-aware kNN, whose formula is in `OrderedNeighbours`.

    Attributes:
        num_neighbours: number of most similar sessions whose items are scored.
        history_length: number of latest distinct items of the history that sessions are compared
            with.
        length_exponent: power of a session's length by which the similarity is divided: 0 ignores
            the length, 1 divides by it.
        reach: distance from the match, in items, over which a vote falls to `1 / e`.
        backward: factor for the vote for an item that comes before the match in its session.
    """

    num_neighbours: int = 1_000
    history_length: int = 10
    length_exponent: float = 0.5
    reach: float = 4.0
    backward: float = 0.3


START = OrderedSettings()
"""The settings that tuning starts from."""


class OrderedNeighbours:
    """Scores an item by its distance from the *match* in each neighbouring session.

    The match of a session is the latest item of the history that the session has, too. The
    neighbours `n` are the sessions with the highest similarity.

    `score(i) = log(sessions / sessions with i) * sum_n vote(n, i)`, summed over the neighbours that
    have `i`. `vote(n, i) = similarity(n) * weight * exp(-distance / reach)`, times `backward`
    unless `i` comes after the match; `weight` is that of the match. The `p`-th latest of `l` items
    of the history has the weight `1 - (p - 1) / l`. `similarity(n)` sums the weights of the shared
    items, divided by `length(n) ** length_exponent`.
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
        """Returns scores of all items for each dataset row in `rows`, `[rows, catalog rows]`."""
        return np.stack([self._score(int(row)) for row in rows])

    def votes(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns the scores without the popularity that breaks ties, `[rows, catalog rows]`.

        An item that no neighbouring session has gets 0.
        """
        votes = [self._votes(int(row)).astype(np.float32) for row in rows]
        return np.stack(votes) if votes else np.empty((0, len(self.rarity)), dtype=np.float32)

    def _score(self, row: int) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = (self._votes(row) + self.fallback).astype(np.float32)
        return scores

    def _votes(self, row: int) -> NDArray[np.float64]:
        neighbours, votes, matches = self._neighbours(row)
        pairs, owners = self.index.pairs_of_session.members_of(neighbours)
        distances = self.index.places[pairs] - matches[owners]
        weights = votes[owners] * self.decay[np.abs(distances)]
        weights[distances <= 0] *= self.settings.backward
        counts = np.bincount(self.index.items[pairs], weights=weights, minlength=len(self.rarity))
        return (counts * self.rarity).astype(np.float64, copy=False)

    def _neighbours(
        self, row: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
        """Finds the sessions that are most similar to the history of `row`.

        Returns:
            Three arrays, `[neighbours]` each. The first has the numbers of the sessions. The second
            has each session's similarity times the weight of the match. The third has the position
            of the match in each session, 0 for the oldest item.
        """
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
    """Returns order-aware kNN with the settings that are best on validation.

    Args:
        dataset: dataset whose validation examples choose the settings.
        fitted_on: view whose training rows are the sessions, for a refit; None for `dataset`.
    """

    def neighbours(settings: OrderedSettings) -> OrderedNeighbours:
        return OrderedNeighbours(dataset, settings)

    settings = tuned(START, OPTIONS, neighbours, dataset, "tuning order-aware kNN")
    return OrderedNeighbours(fitted_on or dataset, settings)
