"""VMIS-kNN: recommends the items of users with a similar recent history.

This is the session-based nearest-neighbour method of Serenade (Kersbergen et al., SIGMOD 2022),
with two differences. A session is all training interactions of one user. Every session that shares
an item is compared, not only the most recent ones, because datasets have no clock that all users
share.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import Dataset, Split
from training.evaluation.baselines.tuning import best_on_validation

NUM_NEIGHBOURS = (50, 200, 1_000)
HISTORY_LENGTHS = (2, 5, 10, 30)
TIE_BREAK = 1e-6  # weight of popularity, which orders items that no neighbour has


@dataclass(frozen=True)
class NeighbourSettings:
    """The two settings of VMIS-kNN.

    Attributes:
        num_neighbours: number of most similar sessions that items are recommended from.
        history_length: number of latest items of the history that sessions are compared with.
    """

    num_neighbours: int
    history_length: int


class SessionNeighbours:
    """Scores an item by the similarity of the neighbouring sessions that contain it.

    `score(i) = log(sessions / sessions with i) * sum_n [i in n] * similarity(n) * match(n)`, summed
    over the neighbours `n`. `similarity(n)` sums the weights of the items that the history and `n`
    share, and `match(n)` is the weight of the latest shared item. The weight of the `p`-th latest
    of `l` items is `1 - (p - 1) / l`.
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
        """Returns scores of all items for each example row, `[rows, catalog rows]`."""
        return np.stack([self._score(int(row)) for row in rows])

    def _score(self, row: int) -> NDArray[np.float32]:
        neighbours, votes = self._neighbours(row)
        items, owners = self.items_of_user.members_of(neighbours)
        counts = np.bincount(items, weights=votes[owners], minlength=len(self.rarity))
        scores: NDArray[np.float32] = (counts * self.rarity + self.fallback).astype(np.float32)
        return scores

    def _neighbours(self, row: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Returns the users of the most similar sessions, and `similarity * match` of each.

        The user of `row` is left out.
        """
        latest = self._latest_items(row)
        weights = 1 - np.arange(len(latest)) / len(latest)
        users, places = self.users_of_item.members_of(latest)
        others = users != self.dataset.user_of_row[row]
        users, weights = users[others], weights[places[others]]
        found, first, places = np.unique(users, return_index=True, return_inverse=True)
        similarities = np.bincount(places, weights=weights, minlength=len(found))
        best = np.argsort(-similarities, kind="stable")[: self.settings.num_neighbours]
        # Shared items come latest first, so a user's first weight is that of the latest match.
        return found[best], (similarities * weights[first])[best]

    def _latest_items(self, row: int) -> NDArray[np.int64]:
        """Returns the distinct items among the latest `history_length` ones, latest first."""
        latest = self.dataset.history(row)[: -self.settings.history_length - 1 : -1]
        _, first = np.unique(latest, return_index=True)
        return latest[np.sort(first)].astype(np.int64)


class Groups:
    """An index of the members of each group, built from pairs of group and member.

    Args:
        groups: `[pairs]`, the group of each pair, numbered from 0.
        members: `[pairs]`, the member of each pair.
        num_groups: number of groups, empty ones included.
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
        """Returns the members of `groups`, group by group.

        Returns:
            The members, and for each the index of its group in the argument `groups`.
        """
        sizes = self.sizes[groups]
        places = np.repeat(np.arange(len(groups)), sizes)
        within = np.arange(len(places)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return self.members[self.begins[groups][places] + within], places


def tuned_session_neighbours(
    dataset: Dataset, fitted_on: Dataset | None = None
) -> SessionNeighbours:
    """Returns VMIS-kNN with the settings that are best on the validation examples.

    They are chosen on `dataset`; the sessions are those of `fitted_on`, None for the same.
    """
    grid = [NeighbourSettings(*each) for each in product(NUM_NEIGHBOURS, HISTORY_LENGTHS)]

    def neighbours(settings: NeighbourSettings) -> SessionNeighbours:
        return SessionNeighbours(dataset, settings)

    chosen = best_on_validation(grid, neighbours, dataset, "tuning VMIS-kNN")
    return SessionNeighbours(fitted_on or dataset, chosen)
