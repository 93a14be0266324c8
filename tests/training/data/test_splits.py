from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from training.data.catalog import Catalog
from training.data.dataset import Split
from training.data.raw import RawData, Times
from training.data.row_order import order_by_user
from training.data.splits import (
    is_split_by_time,
    leave_one_out,
    split_at,
    split_by_time,
    split_rows,
)
from training.errors import DataError
from training.settings.experiment import DataConfig

pytestmark = pytest.mark.usefixtures("each_block_size")

TRAIN, HISTORY, VALIDATION, TEST = Split


@pytest.fixture
def config() -> DataConfig:
    return DataConfig(source="tables", interactions=Path("i.csv"), items=Path("t.csv"))


def raw_of(timestamps: Times | None, splits: list[int] | None = None) -> RawData:
    """One user with four interactions with item `a`."""
    return order_by_user(
        "i.csv",
        Catalog(item_ids=("a",), titles=("A",), attributes=({},)),
        ["ann"] * 4,
        np.ones(4, dtype=np.int64),
        timestamps=timestamps,
        positions=np.arange(4),
        splits=None if splits is None else np.array(splits, dtype=np.uint8),
    )


def test_the_newest_share_is_test_and_the_one_before_it_validation() -> None:
    timestamps = np.array([50, 10, 100, 20, 30, 40, 60, 70, 80, 90])

    splits = split_by_time(timestamps, validation_share=0.2, test_share=0.1)

    assert timestamps[splits == TEST].tolist() == [100]
    assert sorted(timestamps[splits == VALIDATION]) == [80, 90]
    assert sorted(timestamps[splits == TRAIN]) == [10, 20, 30, 40, 50, 60, 70]


def test_a_tie_at_a_boundary_goes_to_the_newer_side() -> None:
    """The share is one row; three have its timestamp in test, two in validation."""
    timestamps = np.array([1, 2, 3, 4, 5, 6, 6, 9, 9, 9])

    splits = split_by_time(timestamps, validation_share=0.1, test_share=0.1)

    assert splits.tolist() == [TRAIN] * 5 + [VALIDATION] * 2 + [TEST] * 3


def test_a_share_that_rounds_to_nothing_is_one_row() -> None:
    splits = split_by_time(np.array([1, 2, 3]), validation_share=0.01, test_share=0.01)

    assert splits.tolist() == [TRAIN, VALIDATION, TEST]


@settings(deadline=None)
@example([0, 1, 1, 1], 0.375, 0.25)  # ties leave fewer rows than the share of validation
@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=60),
    st.floats(0.01, 0.49),
    st.floats(0.01, 0.49),
)
def test_no_timestamp_is_on_both_sides_of_a_boundary(
    times: list[int], validation_share: float, test_share: float
) -> None:
    timestamps = np.array(times)
    splits = split_by_time(timestamps, validation_share, test_share)
    by_split = {split: set(timestamps[splits == split].tolist()) for split in Split}

    assert max(by_split[TRAIN], default=-1) < min(by_split[VALIDATION] | by_split[TEST])
    assert max(by_split[VALIDATION], default=-1) < min(by_split[TEST])
    assert (splits == TEST).sum() >= round(len(times) * test_share)


def test_leave_one_out_holds_back_the_last_two_rows_of_each_user() -> None:
    user_offsets = np.array([0, 4, 7])

    assert leave_one_out(user_offsets).tolist() == [
        *(TRAIN, TRAIN, VALIDATION, TEST),
        *(TRAIN, VALIDATION, TEST),
    ]


def test_leave_one_out_keeps_users_with_fewer_than_three_rows_in_train() -> None:
    assert leave_one_out(np.array([0, 2, 3])).tolist() == [TRAIN, TRAIN, TRAIN]


def test_a_split_column_overrides_the_config(config: DataConfig) -> None:
    raw = raw_of(np.arange(4), [TRAIN, HISTORY, VALIDATION, TEST])

    assert split_rows(raw, config).tolist() == [TRAIN, HISTORY, VALIDATION, TEST]
    assert not is_split_by_time(raw, config)


def test_leave_one_out_needs_no_timestamps(config: DataConfig) -> None:
    config = config.model_copy(update={"split": "leave-one-out"})

    assert split_rows(raw_of(None), config).tolist() == [TRAIN, TRAIN, VALIDATION, TEST]


def test_data_without_timestamps_cannot_be_split_by_time(config: DataConfig) -> None:
    with pytest.raises(DataError, match=r"i\.csv: .*timestamp or a split.*leave-one-out"):
        split_rows(raw_of(None), config)


def test_a_single_timestamp_cannot_be_split(config: DataConfig) -> None:
    with pytest.raises(DataError, match=r"i\.csv: no train interaction among 4"):
        split_rows(raw_of(np.full(4, 7)), config)


@pytest.mark.parametrize("absent", [TRAIN, VALIDATION, TEST])
def test_a_split_column_without_train_validation_or_test_is_refused(
    config: DataConfig, absent: Split
) -> None:
    raw = raw_of(None, [TRAIN, TRAIN, VALIDATION, TEST])
    assert raw.splits is not None
    others = np.where(raw.splits == absent, HISTORY, raw.splits).astype(np.uint8)

    with pytest.raises(DataError, match=f"no {absent.name.lower()} interaction"):
        split_rows(replace(raw, splits=others), config)


def test_a_moment_divides_test_from_the_rows_before_it() -> None:
    splits = split_at(np.array([5, 1, 2, 3, 4, 6]), test_since=5, validation_share=0.25)

    test, train, validation = Split.TEST, Split.TRAIN, Split.VALIDATION
    assert splits.tolist() == [test, train, train, train, validation, test]
