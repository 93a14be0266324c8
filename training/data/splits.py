"""Splits interactions into training, validation and test."""

import math

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import Split, count_splits
from training.data.large_arrays import blocks, new_array
from training.data.raw import RawData, Times
from training.errors import DataError
from training.settings.data import DataConfig

NEEDED = (Split.TRAIN, Split.VALIDATION, Split.TEST)  # splits that must not be empty
MIN_ROWS_TO_HOLD_OUT = 3  # number of rows of a user, one for each of these splits


def split_rows(raw: RawData, config: DataConfig) -> NDArray[np.uint8]:
    """Assigns each row to a split; returns `Split` values, `[interactions]`.

    A split that the source itself has is returned. Otherwise the rows are split by `config.split`.

    Raises:
        DataError: a split by time has no timestamps, or training, validation or test is empty.
    """
    splits = _splits(raw, config)
    counts = count_splits(splits)
    for split in NEEDED:
        if not counts[split]:
            raise DataError(
                f"{raw.origin}: no {split.name.lower()} interaction among {len(splits)}; there are "
                "too few rows, or too few distinct timestamps, to split"
            )
    return splits


def split_by_time(
    timestamps: Times, validation_share: float, test_share: float
) -> NDArray[np.uint8]:
    """Assigns the newest rows to test, the rows before them to validation, the rest to train.

    Validation and test get at least one row. Rows with equal timestamps stay together: at a
    boundary, all of them go to the newer split. So validation and test can be larger than their
    shares.

    Args:
        timestamps: `[interactions]`.
        validation_share: share of all rows, in (0, 1).
        test_share: share of all rows, in (0, 1).

    Returns:
        `Split` values, `[interactions]`.
    """
    count = len(timestamps)
    test_since = _nth_newest(timestamps, round(count * test_share), math.inf)
    validation_since = _nth_newest(timestamps, round(count * validation_share), test_since)
    return _split_between(timestamps, validation_since, test_since)


def split_at(timestamps: Times, test_since: float, validation_share: float) -> NDArray[np.uint8]:
    """Assigns rows from `test_since` on to test, the newest earlier rows to validation.

    The rest goes to train.

    Args:
        timestamps: `[interactions]`.
        test_since: time from which rows are test rows, in the unit of `timestamps`.
        validation_share: share of the rows before `test_since`, in (0, 1). Validation gets at least
            one of them.

    Returns:
        `Split` values, `[interactions]`.
    """
    num_older = sum(
        np.count_nonzero(timestamps[rows] < test_since) for rows in blocks(len(timestamps))
    )
    validation_since = _nth_newest(timestamps, round(num_older * validation_share), test_since)
    return _split_between(timestamps, validation_since, test_since)


def leave_one_out(user_offsets: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Assigns each user's last row to test, the row before it to validation, the others to train.

    All rows of a user with fewer than three rows go to train.

    Args:
        user_offsets: `[users + 1]`, offsets of users' rows, see `RawData.user_offsets`.

    Returns:
        `Split` values, `[interactions]`.
    """
    splits = new_array(int(user_offsets[-1]), np.uint8)
    splits[:] = Split.TRAIN
    last_rows = user_offsets[1:][np.diff(user_offsets) >= MIN_ROWS_TO_HOLD_OUT] - 1
    splits[last_rows] = Split.TEST
    splits[last_rows - 1] = Split.VALIDATION
    return splits


def is_split_by_time(raw: RawData, config: DataConfig) -> bool:
    """Returns whether `split_rows` splits all users at the same two moments in time."""
    return raw.splits is None and config.split == "time"


def _splits(raw: RawData, config: DataConfig) -> NDArray[np.uint8]:
    if raw.splits is not None:
        return raw.splits
    if config.split == "leave-one-out":
        return leave_one_out(raw.user_offsets)
    if raw.timestamps is None:
        raise DataError(
            f"{raw.origin}: has no column timestamp, and positions do not order rows of different "
            'users; add a column timestamp or a split column, or set data.split = "leave-one-out"'
        )
    if config.test_since is not None:
        moment = round(config.test_since.timestamp() * 1000)  # an event log has ms
        return split_at(raw.timestamps, moment, config.validation_share)
    return split_by_time(raw.timestamps, config.validation_share, config.test_share)


def _nth_newest(timestamps: Times, n: int, before: float) -> float:
    """Returns the timestamp of the `n`-th newest among the rows that are older than `before`.

    If there are fewer than `n` such rows, the oldest of them is used. An `n` below 1 counts as 1.
    Returns `before` if no row is older.
    """
    older = new_array(len(timestamps), timestamps.dtype)
    count = 0
    for rows in blocks(len(timestamps)):
        chosen = timestamps[rows][timestamps[rows] < before]
        start, count = count, count + len(chosen)
        older[start:count] = chosen
    if not count:
        return before
    index = count - min(max(1, n), count)
    older[:count].partition(index)
    nth: float = older[index]
    return nth


def _split_between(
    timestamps: Times, validation_since: float, test_since: float
) -> NDArray[np.uint8]:
    """Assigns rows from `test_since` on to test, older ones from `validation_since` to validation.

    The rest goes to train.
    """
    splits = new_array(len(timestamps), np.uint8)
    for rows in blocks(len(timestamps)):
        is_held_out = timestamps[rows] >= validation_since
        splits[rows] = np.where(is_held_out, Split.VALIDATION, Split.TRAIN)
        splits[rows][timestamps[rows] >= test_since] = Split.TEST
    return splits
