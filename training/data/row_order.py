"""Orders the rows of a source by user, then from old to new, even if they exceed memory.

Rows are first written to a temporary file in the order of the source. When the number of rows of
each user is known, the rows are divided into groups, each with all rows of some users. Then each
group is sorted.
"""

import tempfile
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.data.catalog import Catalog
from training.data.dataset import IntArray, Split
from training.data.large_arrays import MAX_BYTES_IN_MEMORY, ROWS_A_BLOCK, new_array, temporary_space
from training.data.raw import Origin, RawData, Times

Columns = dict[str, NDArray[Any]]
"""Arrays of the same rows by name: `users`, `item_indices`, and those that the source has."""

RowOrder = Literal["source", "ids"]
"""Order of what has no order by time: as in the source, or by the ids of users and items."""

# For `lexsort`: the last key counts first.
_SORT_KEYS = ("positions", "timestamps", "users")
_SORT_KEYS_BY_IDS = ("item_indices", "held_out", *_SORT_KEYS)


class SourceRows:
    """The rows of a source, which are appended batch by batch in the order of the source.

    This is a context manager; on exit, it deletes its temporary file.
    """

    def __init__(self) -> None:
        self._user_numbers: dict[str, int] = {}
        self._counts = np.zeros(0, dtype=np.int64)  # number of rows of each user
        self._dtypes: dict[str, np.dtype[Any]] = {}
        self._num_batches = 0
        self._new_numbers: NDArray[np.int32] | None = None  # of users, where they are sorted
        self._file = tempfile.SpooledTemporaryFile(MAX_BYTES_IN_MEMORY)  # noqa: SIM115  # __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(
        self,
        user_ids: "Sequence[str] | pd.Series[str]",
        item_indices: IntArray,
        *,
        timestamps: Times | None = None,
        positions: Times | None = None,
        splits: NDArray[np.uint8] | None = None,
    ) -> None:
        """Adds a batch of rows, in the order of the source.

        Arrays are `[rows]`. Every batch must have the same optional arguments.

        Args:
            user_ids: user id of each row.
            item_indices: item_index of each row.
            timestamps: time of each row.
            positions: numbers that order a user's rows, after the timestamps if there are any.
            splits: `Split` value of each row.

        Raises:
            DataError: the disk does not have enough space.
        """
        given = {"timestamps": timestamps, "positions": positions, "splits": splits}
        columns: Columns = {
            "users": self._numbers_of(user_ids),
            "item_indices": item_indices.astype(np.int32),
            **{name: values for name, values in given.items() if values is not None},
        }
        for name, values in columns.items():
            self._dtypes[name] = np.result_type(values.dtype, self._dtypes.get(name, values.dtype))
            with temporary_space(values.nbytes):
                np.save(self._file, values, allow_pickle=False)
        self._num_batches += 1

    def ordered(self, origin: Origin, catalog: Catalog, order: RowOrder = "source") -> RawData:
        """Returns all rows, ordered by user, then timestamp, then position, then by `order`.

        With `order` "source", users have the order of their first rows, and equal rows that of the
        source. With "ids", users are sorted by id, and equal rows by item_index, but held-out ones
        come last: validation, then test. Call this method once, after all batches. `origin` and
        `catalog` become attributes of the result.

        Raises:
            DataError: the disk does not have enough space.
        """
        if order == "ids":
            self._sort_users()
        keys = _SORT_KEYS_BY_IDS if order == "ids" else _SORT_KEYS
        offsets = np.concatenate([[0], np.cumsum(self._counts)])
        group_of_user = offsets[:-1] // ROWS_A_BLOCK
        group_starts = offsets[:-1][np.diff(group_of_user, prepend=-1) > 0]
        columns = self._grouped(np.cumsum(np.diff(group_of_user, prepend=-1) > 0) - 1, group_starts)
        for start, end in zip(group_starts, [*group_starts[1:], offsets[-1]], strict=True):
            _sort(columns, slice(start, end), keys)
        return RawData(
            origin=origin,
            catalog=catalog,
            user_ids=tuple(self._user_numbers),
            user_offsets=offsets,
            item_indices=columns["item_indices"],
            source_rows=columns["source_rows"],
            timestamps=columns.get("timestamps"),
            splits=columns.get("splits"),
        )

    def _sort_users(self) -> None:
        """Gives users new numbers, in the order of their ids."""
        user_ids = [*self._user_numbers]
        order = sorted(range(len(user_ids)), key=user_ids.__getitem__)
        self._new_numbers = np.argsort(order).astype(np.int32)
        self._counts = self._counts[order]
        self._user_numbers = {user_ids[user]: number for number, user in enumerate(order)}

    def _numbers_of(self, user_ids: "Sequence[str] | pd.Series[str]") -> NDArray[np.int32]:
        """Numbers new users and counts each user's rows; returns the user number of each row."""
        values = user_ids if isinstance(user_ids, pd.Series) else np.asarray(user_ids, dtype=object)
        codes, distinct = pd.factorize(values)
        known = self._user_numbers
        numbers = np.array(
            [known.setdefault(user, len(known)) for user in distinct.tolist()], np.int32
        )
        self._counts = np.append(self._counts, np.zeros(len(known) - len(self._counts), np.int64))
        self._counts[numbers] += np.bincount(codes, minlength=len(numbers))
        return numbers[codes]

    def _grouped(self, group_of_user: IntArray, group_starts: IntArray) -> Columns:
        """Returns the columns sorted by group; rows of a group keep the order of the source.

        Args:
            group_of_user: `[users]`, group of each user.
            group_starts: `[groups]`, first row of each group.
        """
        num_rows = int(self._counts.sum())
        row_type = np.int32 if num_rows < np.iinfo(np.int32).max else np.int64
        dtypes = {**self._dtypes, "source_rows": np.dtype(row_type)}
        grouped = {name: new_array(num_rows, dtype) for name, dtype in dtypes.items()}
        ends = group_starts.copy()
        for batch in self._batches():
            groups = group_of_user[batch["users"]]
            order = np.argsort(groups, kind="stable")
            counts = np.bincount(groups, minlength=len(ends))
            rows_of_groups = np.split(order, np.cumsum(counts)[:-1])
            for group in np.flatnonzero(counts):
                start, ends[group] = ends[group], ends[group] + counts[group]
                for name, values in batch.items():
                    grouped[name][start : ends[group]] = values[rows_of_groups[group]]
        return grouped

    def _batches(self) -> Iterator[Columns]:
        """Yields the batches in order; adds the column `source_rows`, row numbers from 1."""
        with temporary_space(self._file.tell()):
            self._file.seek(0)  # which writes what is still in a buffer
        num_rows = 0
        for _ in range(self._num_batches):
            batch = {name: np.load(self._file, allow_pickle=False) for name in self._dtypes}
            if self._new_numbers is not None:
                batch["users"] = self._new_numbers[batch["users"]]
            start, num_rows = num_rows, num_rows + len(batch["users"])
            yield {**batch, "source_rows": np.arange(start + 1, num_rows + 1)}


def order_by_user(
    origin: str,
    catalog: Catalog,
    user_ids: "Sequence[str] | pd.Series[str]",
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
    times = {"timestamps": timestamps, "positions": positions}
    with SourceRows() as rows:
        rows.append(user_ids, item_indices, **times, splits=splits)
        return rows.ordered(Origin(origin), catalog)


def _sort(columns: Columns, rows: slice, keys: Sequence[str]) -> None:
    """Sorts a group of rows of the arrays `columns`, in place, by `keys`, then as in the source."""
    group = {name: values[rows] for name, values in columns.items()}
    if "splits" in group:
        group["held_out"] = np.maximum(group["splits"], Split.HISTORY)  # 1 for rows of training
    order = np.lexsort([group[name] for name in keys if name in group])  # stable
    for values in columns.values():
        values[rows] = values[rows][order]
