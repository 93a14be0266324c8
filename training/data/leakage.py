"""The leakage check: training must not see the next item of a held-out example.

The check does not rely on the code that split the data. It reads the finished dataset, as students
do, and compares it with the timestamps of the source.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.data.dataset import Dataset, Split
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
        user_is_repeated = pd.Series(self.dataset.user_ids).duplicated().to_numpy(np.bool_)
        row_is_repeated = pd.Series(self.raw.source_rows).duplicated().to_numpy(np.bool_)
        self._refuse(user_is_repeated[self.dataset.user_of_row], "its user is listed twice")
        self._refuse(row_is_repeated, "its source row is in the dataset twice")

    def splits_are_in_order(self) -> None:
        """Raises LeakageError if a user's row follows a row of a later split.

        Training and history rows come first, then validation, then test.
        """
        order = _ORDER[self.dataset.splits]
        after_held_out = self._within_users(order[1:] < order[:-1])
        self._refuse(after_held_out, "it comes after a held-out interaction of its user")

    def rows_are_in_order(self, timestamps: Times) -> None:
        """Raises LeakageError if a row is older than the previous row of the same user."""
        older = self._within_users(timestamps[1:] < timestamps[:-1])
        self._refuse(older, "it is older than the interaction before it in the history")

    def splits_do_not_overlap(self, timestamps: Times, earlier: Split, later: Split) -> None:
        """Raises LeakageError unless all rows of `earlier` are older than all rows of `later`.

        Rows of different users are compared too.
        """
        held_out = timestamps[self.dataset.splits == later]
        if not len(held_out):
            return
        newer = (self.dataset.splits == earlier) & (timestamps >= held_out.min())
        oldest = f"the oldest {later.name.lower()} interaction ({held_out.min()})"
        self._refuse(newer, f"it is not older than {oldest}")

    def _within_users(self, wrong: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Returns a mask of the rows that are wrong after the previous row of the same user.

        Args:
            wrong: `[interactions - 1]`, whether row `i + 1` is wrong after row `i`. Ignored if the
                two rows belong to different users.

        Returns:
            `[interactions]`.
        """
        return np.concatenate([[False], wrong]) & (self.dataset.position_of_row > 0)

    def _refuse(self, leaks: NDArray[np.bool_], reason: str) -> None:
        if not leaks.any():
            return
        row = int(leaks.argmax())
        user = self.dataset.user_ids[self.dataset.user_of_row[row]]
        item = self.dataset.catalog.item_ids[self.dataset.item_indices[row] - 1]
        split = Split(self.dataset.splits[row]).name.lower()
        raise LeakageError(
            f"{self.raw.origin}: user {user!r}, item {item!r}, "
            f"data row {self.raw.source_rows[row]}: a {split} interaction leaks: {reason}"
        )
