"""Index of the training sessions that the kNN baselines recommend from.

A session is all training interactions of one user. Of repeated items, only the last occurrence is
kept.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import Dataset, Split

TIE_BREAK = 1e-6  # weight of popularity, which orders items that no neighbour has


class Sessions:
    """An index of sessions: all pairs of a session and one of its items, ordered by session.

    Args:
        dataset: dataset whose training rows are the sessions; a session has the number of its user.
        kept: function that maps the lengths of all sessions, `[users]`, to a mask of the sessions
            to keep, `[users]`. None keeps all sessions.

    Attributes:
        sessions: `[pairs]`, the session of each pair.
        items: `[pairs]`, the item of each pair, oldest first within a session.
        places: `[pairs]`, the number of older items of the same session.
        lengths: `[users]`, number of items of each session.
        num_sessions: number of sessions that are not empty.
        sessions_with: `[catalog rows]`, number of sessions that have each item.
    """

    def __init__(
        self,
        dataset: Dataset,
        kept: Callable[[NDArray[np.int64]], NDArray[np.bool_]] | None = None,
    ) -> None:
        sessions, items = _last_occurrences(dataset)
        num_users, num_rows = len(dataset.user_ids), dataset.catalog.num_rows
        if kept is not None:
            is_kept = kept(np.bincount(sessions, minlength=num_users))[sessions]
            sessions, items = sessions[is_kept], items[is_kept]
        pairs = np.arange(len(items))
        self.dataset = dataset
        self.sessions, self.items = sessions, items
        self.pairs_of_session = Groups(sessions, pairs, num_users)
        self.pairs_of_item = Groups(items, pairs, num_rows)
        self.lengths = self.pairs_of_session.sizes
        self.places = pairs - self.pairs_of_session.begins[sessions]
        self.num_sessions = int((self.lengths > 0).sum())
        self.sessions_with = self.pairs_of_item.sizes

    @property
    def popularity(self) -> NDArray[np.float64]:
        """Popularity of each item, `[catalog rows]`, scaled down so that it only breaks ties.

        The values lie between 0 and `TIE_BREAK`. Added to the scores, they order the items that no
        neighbouring session has, whose scores are all 0.
        """
        shares: NDArray[np.float64] = self.sessions_with / max(self.sessions_with.max(), 1)
        return TIE_BREAK * shares

    def matches(
        self, row: int, items: NDArray[np.integer]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Finds the pairs whose item is in `items`; pairs of the user of `row` are left out.

        Returns:
            Indices of the pairs, in the order of `items`, and for each pair the index of its item
            in `items`.
        """
        pairs, indices = self.pairs_of_item.members_of(items)
        others = self.sessions[pairs] != self.dataset.user_of_row[row]
        return pairs[others], indices[others]


class Groups:
    """An index of the members of each group, built from pairs of group and member.

    Args:
        groups: `[pairs]`, the group of each pair, numbered from 0.
        members: `[pairs]`, the member of each pair.
        num_groups: number of groups, empty ones included.
    """

    def __init__(
        self, groups: NDArray[np.integer], members: NDArray[np.int64], num_groups: int
    ) -> None:
        self.members = members[np.argsort(groups, kind="stable")]
        self.sizes = np.bincount(groups, minlength=num_groups)
        self.begins = np.cumsum(self.sizes) - self.sizes

    def members_of(
        self, groups: NDArray[np.integer]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Looks up the members of several groups.

        Returns:
            The members, in the order of `groups`, and for each the index of its group in `groups`.
        """
        sizes = self.sizes[groups]
        places = np.repeat(np.arange(len(groups)), sizes)
        within = np.arange(len(places)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return self.members[self.begins[groups][places] + within], places


def distinct_latest(history: NDArray[np.int32], length: int) -> NDArray[np.int64]:
    """Returns the latest `length` distinct items of a history, latest first."""
    latest = history[::-1]
    _, first = np.unique(latest, return_index=True)
    return latest[np.sort(first)[:length]].astype(np.int64)


def _last_occurrences(dataset: Dataset) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Finds the distinct pairs of user and item in training, ordered by each pair's last row.

    Returns:
        User indices and item indices, `[pairs]` each.
    """
    rows = np.flatnonzero(dataset.splits == Split.TRAIN)[::-1]
    pairs = dataset.user_of_row[rows] * dataset.catalog.num_rows + dataset.item_indices[rows]
    _, newest = np.unique(pairs, return_index=True)
    kept = np.sort(rows[newest])
    return dataset.user_of_row[kept], dataset.item_indices[kept].astype(np.int64)
