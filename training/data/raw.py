"""`RawData`: the form in which every source returns its interactions, before filter and split."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.catalog import Catalog
from training.data.dataset import IntArray
from training.data.large_arrays import blocks, new_array

Times = NDArray[np.int64] | NDArray[np.float64]
"""Timestamps or positions of rows, in any unit; only their order and their ties matter."""


@dataclass(frozen=True)
class Origin:
    """Name of a source, and the files that its rows come from.

    Attributes:
        name: file, folder, pattern or package of the source, for messages.
        files: name of each file, in the order of their rows; empty if the source is one file.
        first_rows: `[files]`, number of the first row of each file, counted from 1 over all files.
    """

    name: str
    files: tuple[str, ...] = ()
    first_rows: tuple[int, ...] = ()

    @classmethod
    def of_table(cls, path: Path, first_rows: Mapping[str, int]) -> "Origin":
        """Returns the origin of the table `path`: that file, or several.

        `first_rows` has the number of the first row of each file, in the order of their rows.
        """
        files = {} if [*first_rows] == [str(path)] else first_rows
        return cls(str(path), tuple(files), tuple(files.values()))

    def row(self, source_row: int) -> str:
        """Returns a text such as `data row 7 of part-0.csv`, for messages.

        `source_row` is the row's number, counted from 1 over all files. The number in the text
        counts from 1 within the file.
        """
        if not self.files:
            return f"data row {source_row}"
        file = int(np.searchsorted(self.first_rows, source_row, side="right")) - 1
        return f"data row {source_row - self.first_rows[file] + 1} of {self.files[file]}"

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class RawData:
    """The interactions of a source, ordered by user and, within a user, from old to new.

    Arrays with a value per interaction may be larger than memory, see `large_arrays`.

    Attributes:
        origin: source that the interactions come from, for messages.
        catalog: the items.
        user_ids: id of each user, in the order of their rows.
        user_offsets: `[users + 1]`, offsets of users' rows: user `u` has rows
            `offsets[u]:offsets[u + 1]`.
        item_indices: `[interactions]`, the item_index of each row.
        source_rows: `[interactions]`, number of each row in `origin`, counted from 1.
        timestamps: `[interactions]`, time of each row, in any unit; None if the source gives only
            an order.
        splits: `[interactions]`, `Split` values from the source; None if it has no split.
    """

    origin: Origin
    catalog: Catalog
    user_ids: tuple[str, ...]
    user_offsets: NDArray[np.int64]
    item_indices: NDArray[np.int32]
    source_rows: IntArray
    timestamps: Times | None
    splits: NDArray[np.uint8] | None

    @property
    def num_rows(self) -> int:
        """Number of interactions."""
        return len(self.item_indices)

    @property
    def users(self) -> NDArray[np.int64]:
        """User of each row, `[interactions]`, as an index into `user_ids`; ascending."""
        return self.users_of(slice(0, self.num_rows))

    def users_of(self, rows: slice) -> NDArray[np.int64]:
        """Returns the user of each row in `rows`, as an index into `user_ids`; ascending."""
        first, last = np.searchsorted(self.user_offsets, (rows.start, rows.stop), side="right") - 1
        ends = np.minimum(self.user_offsets[first + 1 : last + 2], rows.stop)
        starts = np.maximum(self.user_offsets[first : first + len(ends)], rows.start)
        return np.repeat(np.arange(first, first + len(ends)), ends - starts)

    def select(self, kept: NDArray[np.bool_]) -> "RawData":
        """Returns the rows where the mask `kept` is true; drops users and items without a row.

        `kept` is `[interactions]`. Rows, users and items keep their order; users and items get new
        numbers.
        """
        per_user, per_item = self.counts(kept)
        users, items = np.flatnonzero(per_user), np.flatnonzero(per_item)
        new_index = np.cumsum(per_item > 0)
        return RawData(
            origin=self.origin,
            catalog=self.catalog.select(items - 1),
            user_ids=tuple(self.user_ids[user] for user in users),
            user_offsets=np.concatenate([[0], np.cumsum(per_user[users])]),
            item_indices=_selected(self.item_indices, kept, new_index),
            source_rows=_selected(self.source_rows, kept),
            timestamps=None if self.timestamps is None else _selected(self.timestamps, kept),
            splits=None if self.splits is None else _selected(self.splits, kept),
        )

    def counts(self, kept: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Counts the rows where the mask `kept` is true, by user and by item.

        Returns two arrays, `[users]` and `[catalog rows]`.
        """
        per_user = np.zeros(len(self.user_ids), dtype=np.int64)
        per_item = np.zeros(self.catalog.num_rows, dtype=np.int64)
        for rows in blocks(self.num_rows):
            users, items = self.users_of(rows), self.item_indices[rows]
            per_user += np.bincount(users[kept[rows]], minlength=len(per_user))
            per_item += np.bincount(items[kept[rows]], minlength=len(per_item))
        return per_user, per_item


def _selected(
    values: NDArray[Any], kept: NDArray[np.bool_], new_values: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Returns `values` where `kept` is true; `new_values[value]`, if given, replaces each value."""
    selected = new_array(int(np.count_nonzero(kept)), values.dtype)
    end = 0
    for rows in blocks(len(values)):
        chosen = values[rows][kept[rows]]
        start, end = end, end + len(chosen)
        selected[start:end] = chosen if new_values is None else new_values[chosen]
    return selected
