"""Splits interactions into training, validation and test."""

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import Split
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
    for split in NEEDED:
        if not (splits == split).any():
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
    splits = np.full(count, Split.TRAIN, dtype=np.uint8)
    is_test = _newest(timestamps, round(count * test_share))
    splits[is_test] = Split.TEST
    older = np.flatnonzero(~is_test)
    is_validation = _newest(timestamps[older], round(count * validation_share))
    splits[older[is_validation]] = Split.VALIDATION
    return splits


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
    splits = np.full(len(timestamps), Split.TEST, dtype=np.uint8)
    older = np.flatnonzero(timestamps < test_since)
    is_validation = _newest(timestamps[older], round(len(older) * validation_share))
    splits[older] = np.where(is_validation, Split.VALIDATION, Split.TRAIN)
    return splits


def leave_one_out(users: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Assigns each user's last row to test, the row before it to validation, the others to train.

    All rows of a user with fewer than three rows go to train.

    Args:
        users: `[interactions]`, number of each row's user, ascending.

    Returns:
        `Split` values, `[interactions]`.
    """
    num_rows = np.bincount(users)[users]
    rows_left = np.searchsorted(users, users, side="right") - np.arange(len(users))
    splits = np.full(len(users), Split.TRAIN, dtype=np.uint8)
    splits[(rows_left == 1) & (num_rows >= MIN_ROWS_TO_HOLD_OUT)] = Split.TEST
    splits[(rows_left == 2) & (num_rows >= MIN_ROWS_TO_HOLD_OUT)] = Split.VALIDATION
    return splits


def is_split_by_time(raw: RawData, config: DataConfig) -> bool:
    """Returns whether `split_rows` splits all users at the same two moments in time."""
    return raw.splits is None and config.split == "time"


def _splits(raw: RawData, config: DataConfig) -> NDArray[np.uint8]:
    if raw.splits is not None:
        return raw.splits
    if config.split == "leave-one-out":
        return leave_one_out(raw.users)
    if raw.timestamps is None:
        raise DataError(
            f"{raw.origin}: has no column timestamp, and positions do not order rows of different "
            'users; add a column timestamp or a split column, or set data.split = "leave-one-out"'
        )
    if config.test_since is not None:
        moment = round(config.test_since.timestamp() * 1000)  # an event log has ms
        return split_at(raw.timestamps, moment, config.validation_share)
    return split_by_time(raw.timestamps, config.validation_share, config.test_share)


def _newest(timestamps: Times, count: int) -> NDArray[np.bool_]:
    if not len(timestamps):
        return np.zeros(0, dtype=np.bool_)
    oldest_first = np.sort(timestamps)
    boundary = oldest_first[-min(max(1, count), len(timestamps))]
    newest: NDArray[np.bool_] = timestamps >= boundary
    return newest
