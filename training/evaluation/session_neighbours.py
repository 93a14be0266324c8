"""VMIS-kNN: what people with a similar recent past met (Kersbergen et al., SIGMOD 2022).

The session-based nearest-neighbour method that Serenade serves. A neighbour is a user, and its
session is what it did in training. Datasets keep no clock across users, so there is no sample of
the most recent sessions: all that share an item are compared.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import Dataset, Split
from training.evaluation.yardstick import SELECTION_METRIC, evaluate, ranker_of

NUM_NEIGHBOURS = (50, 200, 1_000)
HISTORY_LENGTHS = (2, 5, 10, 30)
TIE_BREAK = 1e-6  # of popularity, so that no two unknown items tie


@dataclass(frozen=True)
class NeighbourSettings:
    """How a neighbourhood is found.

    Attributes:
        num_neighbours: k, the most similar sessions that are listened to.
        history_length: how many of the latest items a session is compared by.
    """

    num_neighbours: int
    history_length: int


class SessionNeighbours:
    """Scores an item by the similarity of the neighbours that met it, rarer items higher.

    `score(i) = log(sessions / sessions with i) * sum_n [i in n] * similarity(n) * match(n)`, where
    `similarity(n)` sums the weights of the items that the history and `n` share, and `match(n)`
    is the weight of the latest of them. The weight of the `p`-th latest of `l` items is
    `1 - (p - 1) / l`.
    """

    def __init__(self, dataset: Dataset, settings: NeighbourSettings) -> None:
        self.dataset = dataset
        self.settings = settings
        trained = np.flatnonzero(dataset.splits == Split.TRAIN)
        pairs = np.stack([dataset.user_of_row[trained], dataset.item_indices[trained]], axis=1)
        users, items = np.unique(pairs, axis=0).T
        self.items_of_user = Groups(users, items, len(dataset.user_ids))
        self.users_of_item = Groups(items, users, dataset.catalog.num_rows)
        sizes = self.users_of_item.sizes
        self.rarity = np.log(max(len(np.unique(users)), 1) / np.maximum(sizes, 1))
        self.fallback = TIE_BREAK * sizes / max(sizes.max(), 1)

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores, `[rows, catalog rows]`."""
        return np.stack([self._score(int(row)) for row in rows])

    def _score(self, row: int) -> NDArray[np.float32]:
        neighbours, votes = self._neighbours(row)
        items, owners = self.items_of_user.members_of(neighbours)
        counts = np.bincount(items, weights=votes[owners], minlength=len(self.rarity))
        scores: NDArray[np.float32] = (counts * self.rarity + self.fallback).astype(np.float32)
        return scores

    def _neighbours(self, row: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The most similar users but the row's own, and what the vote of each counts."""
        latest = self._latest_items(row)
        weights = 1 - np.arange(len(latest)) / len(latest)
        users, places = self.users_of_item.members_of(latest)
        others = users != self.dataset.user_of_row[row]
        users, weights = users[others], weights[places[others]]
        found, first, places = np.unique(users, return_index=True, return_inverse=True)
        similarities = np.bincount(places, weights=weights, minlength=len(found))
        best = np.argsort(-similarities, kind="stable")[: self.settings.num_neighbours]
        # Shared items stand latest first, so a user's first weight is that of the latest match.
        return found[best], (similarities * weights[first])[best]

    def _latest_items(self, row: int) -> NDArray[np.int64]:
        """Distinct, latest first."""
        latest = self.dataset.history(row)[: -self.settings.history_length - 1 : -1]
        _, first = np.unique(latest, return_index=True)
        return latest[np.sort(first)].astype(np.int64)


class Groups:
    """Members by group, for groups that are given as pairs.

    Args:
        groups: `[pairs]`, from 0.
        members: `[pairs]`.
        num_groups: how many groups there are, empty ones counted.
    """

    def __init__(
        self, groups: NDArray[np.integer], members: NDArray[np.integer], num_groups: int
    ) -> None:
        self.members = members[np.argsort(groups, kind="stable")]
        self.sizes = np.bincount(groups, minlength=num_groups)
        self.begins = np.cumsum(self.sizes) - self.sizes

    def members_of(
        self, groups: NDArray[np.int64]
    ) -> tuple[NDArray[np.integer], NDArray[np.int64]]:
        """All members of some `groups`, group by group, and the place of the group of each."""
        sizes = self.sizes[groups]
        places = np.repeat(np.arange(len(groups)), sizes)
        within = np.arange(len(places)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return self.members[self.begins[groups][places] + within], places


def tuned_session_neighbours(dataset: Dataset) -> SessionNeighbours:
    """The settings with the best validation NDCG@20."""
    rows = dataset.example_rows(Split.VALIDATION)
    grid = [NeighbourSettings(*each) for each in product(NUM_NEIGHBOURS, HISTORY_LENGTHS)]

    def figure(settings: NeighbourSettings) -> float:
        ranker = ranker_of(SessionNeighbours(dataset, settings), dataset)
        return evaluate(ranker, dataset, rows).metrics[SELECTION_METRIC]

    return SessionNeighbours(dataset, max(grid, key=figure))
