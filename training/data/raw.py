"""`RawData`, the output of every source: interactions by user, oldest first, before any filter."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.data.catalog import Catalog
from training.data.dataset import IntArray

Times = NDArray[np.int64] | NDArray[np.float64]


@dataclass(frozen=True)
class RawData:
    """Rows ordered by user and, within a user, from old to new.

    Attributes:
        origin: file or package that the interactions come from, for messages.
        users: `[interactions]`, index into `user_ids`, ascending.
        item_indices: `[interactions]`, the item_index of each row.
        source_rows: `[interactions]`, the row in `origin` of each row, counted from 1.
        timestamps: `[interactions]`, in any unit; None if the source has only positions.
        splits: `[interactions]`, `Split` values of the source; None if it has no split.
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
        """`[users + 1]`, user `u` owns rows `user_offsets[u]:user_offsets[u + 1]`."""
        return np.searchsorted(self.users, np.arange(len(self.user_ids) + 1))

    def select(self, kept: NDArray[np.bool_]) -> "RawData":
        """The rows where `kept`, and the users and items that still have a row; order unchanged."""
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
    """Orders rows by user, then by time; `user_ids[i]` is the user of source row `i + 1`.

    Users have the order of their first rows. Rows of a user are ordered by timestamp, then by
    position, then as in the source.
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
