"""`RawData`: the form in which every source returns its interactions, before filter and split."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.data.catalog import Catalog
from training.data.dataset import IntArray

Times = NDArray[np.int64] | NDArray[np.float64]
"""Timestamps or positions of rows, in any unit; only their order and their ties matter."""


@dataclass(frozen=True)
class RawData:
    """The interactions of a source, ordered by user and, within a user, from old to new.

    Attributes:
        origin: file or package that the interactions come from, for messages.
        catalog: the items.
        user_ids: id of each user, in the order of their rows.
        users: `[interactions]`, the user of each row, as an index into `user_ids`; ascending.
        item_indices: `[interactions]`, the item_index of each row.
        source_rows: `[interactions]`, number of each row in `origin`, counted from 1.
        timestamps: `[interactions]`, time of each row, in any unit; None if the source gives only
            an order.
        splits: `[interactions]`, `Split` values from the source; None if it has no split.
    """

    origin: str
    catalog: Catalog
    user_ids: tuple[str, ...]
    users: NDArray[np.int64]
    item_indices: NDArray[np.int64]
    source_rows: NDArray[np.int64]
    timestamps: Times | None
    splits: NDArray[np.uint8] | None

    @property
    def user_offsets(self) -> NDArray[np.int64]:
        """Offsets of users' rows, `[users + 1]`: user `u` has rows `offsets[u]:offsets[u + 1]`."""
        return np.searchsorted(self.users, np.arange(len(self.user_ids) + 1))

    def select(self, kept: NDArray[np.bool_]) -> "RawData":
        """Returns the rows where the mask `kept` is true; drops users and items without a row.

        `kept` is `[interactions]`. Rows, users and items keep their order; users and items get new
        numbers.
        """
        users, user_of_row = np.unique(self.users[kept], return_inverse=True)
        items, item_of_row = np.unique(self.item_indices[kept], return_inverse=True)
        return RawData(
            origin=self.origin,
            catalog=_catalog_of(self.catalog, items),
            user_ids=tuple(self.user_ids[user] for user in users),
            users=user_of_row,
            item_indices=item_of_row + 1,
            source_rows=self.source_rows[kept],
            timestamps=None if self.timestamps is None else self.timestamps[kept],
            splits=None if self.splits is None else self.splits[kept],
        )


def order_by_user(
    origin: str,
    catalog: Catalog,
    user_ids: Sequence[str],
    item_indices: IntArray,
    *,
    timestamps: Times | None = None,
    positions: Times | None = None,
    splits: NDArray[np.uint8] | None = None,
) -> RawData:
    """Builds `RawData`: orders the rows of a source by user, then from old to new.

    Users have the order of their first rows. Rows of a user are ordered by timestamp, then by
    position, then as in the source. Arrays are `[interactions]`, in the order of the source.

    Args:
        origin: file or package of the source, for messages.
        catalog: the items.
        user_ids: user id of each row.
        item_indices: item_index of each row.
        timestamps: time of each row; None if the source has none.
        positions: numbers that order a user's rows, after the timestamps if there are any; None if
            the source has none.
        splits: `Split` value of each row; None if the source has none.
    """
    users, distinct = pd.factorize(np.asarray(user_ids, dtype=object))
    keys = [key for key in (positions, timestamps) if key is not None]
    order = np.lexsort((*keys, users))  # stable; the last key counts first
    return RawData(
        origin=origin,
        catalog=catalog,
        user_ids=tuple(distinct),
        users=users[order].astype(np.int64),
        item_indices=item_indices[order].astype(np.int64),
        source_rows=order + 1,
        timestamps=None if timestamps is None else timestamps[order],
        splits=None if splits is None else splits[order],
    )


def _catalog_of(catalog: Catalog, item_indices: IntArray) -> Catalog:
    rows = [int(item_index) - 1 for item_index in item_indices]
    return Catalog(
        item_ids=tuple(catalog.item_ids[row] for row in rows),
        titles=tuple(catalog.titles[row] for row in rows),
        attributes=tuple(catalog.attributes[row] for row in rows),
    )
