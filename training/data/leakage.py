"""The leakage check: training must not see a held-out target.

It does not trust the code that split the data. It reads the finished dataset, as students do, and
compares it with the timestamps of the source.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.data.dataset import Dataset, Split
from training.data.raw import RawData, Times
from training.errors import LeakageError

# Order in time by Split: train and history first, then validation, then test.
_ORDER = np.array([0, 0, 1, 2])


def check_leakage(dataset: Dataset, raw: RawData, *, by_time: bool) -> None:
    """Refuses a dataset in which training could see a held-out target.

    Args:
        dataset: the finished dataset.
        raw: the data that it was made from, row for row.
        by_time: whether all users were split at the same two moments.

    Raises:
        LeakageError: names user, item and source row of the first interaction that leaks.
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
        """Refuses a source row or a user that occurs twice, since it could be in two splits."""
        user_is_repeated = pd.Series(self.dataset.user_ids).duplicated().to_numpy(np.bool_)
        row_is_repeated = pd.Series(self.raw.source_rows).duplicated().to_numpy(np.bool_)
        self._refuse(user_is_repeated[self.dataset.user_of_row], "its user is listed twice")
        self._refuse(row_is_repeated, "it is in the dataset twice")

    def splits_are_in_order(self) -> None:
        """Refuses a training row after a held-out row of the same user."""
        order = _ORDER[self.dataset.splits]
        self._refuse(self._of_neighbours(order[1:] < order[:-1]), "it comes after a held-out one")

    def rows_are_in_order(self, timestamps: Times) -> None:
        """Refuses a history with an interaction that is newer than its next item."""
        older = self._of_neighbours(timestamps[1:] < timestamps[:-1])
        self._refuse(older, "it is older than the one before it")

    def splits_do_not_overlap(self, timestamps: Times, earlier: Split, later: Split) -> None:
        """Refuses a row of `earlier` that is not older than all of `later`, over all users."""
        held_out = timestamps[self.dataset.splits == later]
        if not len(held_out):
            return
        newer = (self.dataset.splits == earlier) & (timestamps >= held_out.min())
        oldest = f"the oldest {later.name.lower()} interaction ({held_out.min()})"
        self._refuse(newer, f"it is not older than {oldest}")

    def _of_neighbours(self, wrong: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Turns `wrong` of each row and the one before into a mask of rows, within each user."""
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
