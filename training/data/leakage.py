"""The leakage check: training must not see the next item of a held-out example.

The check does not rely on the code that split the data. It reads the finished dataset, as students
do, and compares it with the timestamps of the source.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.data.dataset import Dataset, Split
from training.data.large_arrays import blocks, new_array
from training.data.raw import RawData, Times
from training.errors import LeakageError

# Order in time by `Split` value: train and history first, then validation, then test.
_ORDER = np.array([0, 0, 1, 2])


def check_leakage(dataset: Dataset, raw: RawData, *, by_time: bool) -> None:
    """Raises LeakageError if training could see the next item of a held-out example.

    Args:
        dataset: the finished dataset.
        raw: the filtered interactions that the dataset was made from, in the same row order.
        by_time: whether the data was split by global time, at the same two moments for all users.

    Raises:
        LeakageError: an interaction leaks; the message names its user, item and source row.
    """
    check = _Check(dataset, raw)
    check.users_and_rows_are_unique()
    check.splits_are_in_order()
    if raw.timestamps is not None:
        check.rows_are_in_order(raw.timestamps)
        if by_time:
            check.splits_do_not_overlap(raw.timestamps, Split.TRAIN, Split.VALIDATION)
            check.splits_do_not_overlap(raw.timestamps, Split.TRAIN, Split.TEST)
            check.splits_do_not_overlap(raw.timestamps, Split.VALIDATION, Split.TEST)


class _Check:
    def __init__(self, dataset: Dataset, raw: RawData) -> None:
        self.dataset = dataset
        self.raw = raw

    def users_and_rows_are_unique(self) -> None:
        """Raises LeakageError if a user or a source row occurs twice.

        The two copies could be in different splits.
        """
        repeated = np.flatnonzero(pd.Series(self.dataset.user_ids).duplicated().to_numpy(np.bool_))
        if len(repeated):
            row = int(self.dataset.user_offsets[repeated[0]])
            raise self._error(row, "its user is listed twice")
        is_seen = new_array(int(self.raw.source_rows.max(initial=0)) + 1, np.bool_)
        for rows in blocks(self.raw.num_rows):
            source_rows = self.raw.source_rows[rows]
            is_repeated = is_seen[source_rows] | pd.Series(source_rows).duplicated().to_numpy()
            self._refuse(rows, is_repeated, "its source row is in the dataset twice")
            is_seen[source_rows] = True

    def splits_are_in_order(self) -> None:
        """Raises LeakageError if a user's row follows a row of a later split.

        Training and history rows come first, then validation, then test.
        """
        for rows in blocks(self.raw.num_rows):
            order = _ORDER[self.dataset.splits[_with_the_row_before(rows)]]
            reason = "it comes after a held-out interaction of its user"
            self._refuse_within_users(rows, order[1:] < order[:-1], reason)

    def rows_are_in_order(self, timestamps: Times) -> None:
        """Raises LeakageError if a row is older than the previous row of the same user."""
        for rows in blocks(self.raw.num_rows):
            times = timestamps[_with_the_row_before(rows)]
            reason = "it is older than the interaction before it in the history"
            self._refuse_within_users(rows, times[1:] < times[:-1], reason)

    def splits_do_not_overlap(self, timestamps: Times, earlier: Split, later: Split) -> None:
        """Raises LeakageError unless all rows of `earlier` are older than all rows of `later`.

        Rows of different users are compared too.
        """
        splits = self.dataset.splits
        oldest = min(
            (
                times.min()
                for rows in blocks(self.raw.num_rows)
                if len(times := timestamps[rows][splits[rows] == later])
            ),
            default=None,
        )
        if oldest is None:
            return
        for rows in blocks(self.raw.num_rows):
            newer = (splits[rows] == earlier) & (timestamps[rows] >= oldest)
            reason = f"the oldest {later.name.lower()} interaction ({oldest})"
            self._refuse(rows, newer, f"it is not older than {reason}")

    def _refuse_within_users(self, rows: slice, wrong: NDArray[np.bool_], reason: str) -> None:
        """Raises LeakageError if a row must not follow the previous row of the same user.

        Args:
            rows: the rows to check.
            wrong: for each of these rows, whether it must not follow the row before it. Ignored if
                the two rows belong to different users. If `rows` begins with row 0 of the dataset,
                `wrong` has no value for it.
            reason: reason for the message.
        """
        is_wrong = np.concatenate([np.zeros(rows.stop - rows.start - len(wrong), np.bool_), wrong])
        first_rows = self.dataset.first_rows
        begin, end = np.searchsorted(first_rows, (rows.start, rows.stop))
        is_wrong[first_rows[begin:end] - rows.start] = False
        self._refuse(rows, is_wrong, reason)

    def _refuse(self, rows: slice, leaks: NDArray[np.bool_], reason: str) -> None:
        """Raises LeakageError if one of the rows leaks; `leaks` has a value for each of `rows`."""
        if leaks.any():
            raise self._error(rows.start + int(leaks.argmax()), reason)

    def _error(self, row: int, reason: str) -> LeakageError:
        user = int(np.searchsorted(self.dataset.user_offsets, row, side="right")) - 1
        item = self.dataset.catalog.item_ids[self.dataset.item_indices[row] - 1]
        split = Split(self.dataset.splits[row]).name.lower()
        source_row = self.raw.origin.row(int(self.raw.source_rows[row]))
        return LeakageError(
            f"{self.raw.origin}: user {self.dataset.user_ids[user]!r}, item {item!r}, "
            f"{source_row}: a {split} interaction leaks: {reason}"
        )


def _with_the_row_before(rows: slice) -> slice:
    return slice(max(rows.start - 1, 0), rows.stop)
