"""The check that a finished dataset hides what it is tested on.

It trusts no splitter: it reads the dataset as the students will, beside the source's timestamps.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.data.dataset import Dataset, Split
from training.data.raw import RawData, Times
from training.errors import LeakageError

# By Split: train and history come first, validation after them, test last.
_STEP = np.array([0, 0, 1, 2])


def check_leakage(dataset: Dataset, raw: RawData, *, by_time: bool) -> None:
    """Refuses a dataset in which training could see a held-out target.

    `raw` is what the dataset was made of, row for row. `by_time` says that all users were cut at
    the same two moments.

    Raises:
        LeakageError: names user, item and source row of the first interaction that leaks.
    """
    check = _Check(dataset, raw)
    check.each_row_stands_once()
    check.splits_follow_each_other()
    if raw.timestamps is not None:
        check.rows_grow_younger(raw.timestamps)
        if by_time:
            check.moments_divide(raw.timestamps, Split.TRAIN, Split.VALIDATION)
            check.moments_divide(raw.timestamps, Split.TRAIN, Split.TEST)
            check.moments_divide(raw.timestamps, Split.VALIDATION, Split.TEST)


class _Check:
    def __init__(self, dataset: Dataset, raw: RawData) -> None:
        self.dataset = dataset
        self.raw = raw

    def each_row_stands_once(self) -> None:
        """Neither a source row nor a user may be in two places: they could be in two splits."""
        user_is_repeated = pd.Series(self.dataset.user_ids).duplicated().to_numpy(np.bool_)
        row_is_repeated = pd.Series(self.raw.source_rows).duplicated().to_numpy(np.bool_)
        self._refuse(user_is_repeated[self.dataset.user_of_row], "its user is listed twice")
        self._refuse(row_is_repeated, "it stands in the dataset twice")

    def splits_follow_each_other(self) -> None:
        """What a user did for training is older than what that user is tested on."""
        step = _STEP[self.dataset.splits]
        self._refuse(self._after_the_first(step[1:] < step[:-1]), "it comes after a held-out one")

    def rows_grow_younger(self, timestamps: Times) -> None:
        """No history holds an interaction that is newer than its next item."""
        older = self._after_the_first(timestamps[1:] < timestamps[:-1])
        self._refuse(older, "it is older than the one before it")

    def moments_divide(self, timestamps: Times, earlier: Split, later: Split) -> None:
        """All of `earlier` is older than all of `later`, over all users."""
        held_out = timestamps[self.dataset.splits == later]
        if not len(held_out):
            return
        newer = (self.dataset.splits == earlier) & (timestamps >= held_out.min())
        oldest = f"the oldest {later.name.lower()} interaction ({held_out.min()})"
        self._refuse(newer, f"it is not older than {oldest}")

    def _after_the_first(self, wrong: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """From `wrong` about rows 1.. and their neighbours to all rows; each user starts anew."""
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
