from dataclasses import replace

import numpy as np
import pytest

from training.data.catalog import Catalog
from training.data.dataset import Dataset, Split, make_dataset
from training.data.leakage import check_leakage
from training.data.raw import RawData
from training.data.row_order import order_by_user
from training.errors import LeakageError

pytestmark = pytest.mark.usefixtures("each_block_size")

TRAIN, HISTORY, VALIDATION, TEST = Split


@pytest.fixture
def raw() -> RawData:
    """ann: a (1) b (2) c (5) d (7); bob: b (3) a (6) e (8); bob comes first in the source."""
    return order_by_user(
        "i.csv",
        Catalog(item_ids=tuple("abcde"), titles=tuple("ABCDE"), attributes=({},) * 5),
        ["bob", "ann", "ann", "ann", "ann", "bob", "bob"],
        np.array([5, 1, 2, 3, 4, 2, 1]),
        timestamps=np.array([8, 1, 2, 5, 7, 3, 6]),
    )


@pytest.fixture
def dataset(raw: RawData) -> Dataset:
    """Rows: bob's b, a, e, then ann's a, b, c, d; validation from 5 on, test from 7 on."""
    return make_dataset(
        name="here",
        catalog=raw.catalog,
        user_ids=raw.user_ids,
        item_indices=raw.item_indices,
        user_offsets=raw.user_offsets,
        splits=np.array([TRAIN, VALIDATION, TEST, TRAIN, TRAIN, VALIDATION, TEST]),
    )


def with_splits(dataset: Dataset, *splits: Split) -> Dataset:
    return replace(dataset, splits=np.array(splits, dtype=np.uint8))


def test_a_dataset_without_leakage_passes(dataset: Dataset, raw: RawData) -> None:
    check_leakage(dataset, raw, by_time=True)


def test_training_on_an_interaction_newer_than_validation_is_refused(
    dataset: Dataset, raw: RawData
) -> None:
    """Bob's a (6) becomes train while ann's c (5) is validation."""
    leaky = with_splits(dataset, TRAIN, TRAIN, TEST, TRAIN, TRAIN, VALIDATION, TEST)

    with pytest.raises(LeakageError, match=r"user 'bob', item 'a', data row 7: .*validation .*5"):
        check_leakage(leaky, raw, by_time=True)


def test_a_validation_interaction_newer_than_test_is_refused(
    dataset: Dataset, raw: RawData
) -> None:
    """Bob's e (8) becomes validation while ann's d (7) is test."""
    leaky = with_splits(dataset, TRAIN, VALIDATION, VALIDATION, TRAIN, TRAIN, VALIDATION, TEST)

    with pytest.raises(LeakageError, match=r"user 'bob', item 'e', data row 1: .*test .*7"):
        check_leakage(leaky, raw, by_time=True)


def test_training_on_an_interaction_newer_than_test_is_refused_without_validation(
    dataset: Dataset, raw: RawData
) -> None:
    """Bob's e (8) becomes train while ann's d (7) is test."""
    leaky = with_splits(dataset, TRAIN, TRAIN, TRAIN, TRAIN, TRAIN, TRAIN, TEST)

    with pytest.raises(LeakageError, match=r"user 'bob', item 'e', data row 1: .*test .*7"):
        check_leakage(leaky, raw, by_time=True)


def test_a_timestamp_on_both_sides_of_the_boundary_is_refused(
    dataset: Dataset, raw: RawData
) -> None:
    """Bob's b moves to 5, the moment of ann's validation row."""
    tied = replace(raw, timestamps=np.array([5, 6, 8, 1, 2, 5, 7]))

    with pytest.raises(LeakageError, match="user 'bob', item 'b', data row 6"):
        check_leakage(dataset, tied, by_time=True)


def test_users_may_overlap_in_time_if_the_split_is_not_by_time(
    dataset: Dataset, raw: RawData
) -> None:
    own = with_splits(dataset, TRAIN, TRAIN, TEST, TRAIN, TRAIN, VALIDATION, TEST)

    check_leakage(own, raw, by_time=False)


@pytest.mark.parametrize(
    ("splits", "row"),
    [
        ((TRAIN, VALIDATION, TEST, TRAIN, VALIDATION, TRAIN, TEST), 4),
        ((TRAIN, VALIDATION, TEST, TRAIN, TEST, VALIDATION, TEST), 4),
        ((TRAIN, VALIDATION, TEST, TRAIN, VALIDATION, HISTORY, TEST), 4),
        ((TRAIN, VALIDATION, TEST, TRAIN, TRAIN, TEST, TRAIN), 5),
    ],
)
def test_a_row_for_training_after_a_held_out_one_of_the_same_user_is_refused(
    dataset: Dataset, raw: RawData, splits: tuple[Split, ...], row: int
) -> None:
    positions_only = replace(raw, timestamps=None)

    with pytest.raises(
        LeakageError, match=f"user 'ann'.*data row {row}: .*after a held-out interaction"
    ):
        check_leakage(with_splits(dataset, *splits), positions_only, by_time=False)


def test_history_rows_may_lie_between_training_rows(dataset: Dataset, raw: RawData) -> None:
    own = with_splits(dataset, TRAIN, VALIDATION, TEST, TRAIN, HISTORY, TRAIN, TEST)

    check_leakage(own, raw, by_time=False)


def test_a_history_that_is_newer_than_its_next_item_is_refused(
    dataset: Dataset, raw: RawData
) -> None:
    swapped = replace(raw, timestamps=np.array([3, 6, 8, 2, 1, 5, 7]))

    with pytest.raises(LeakageError, match=r"user 'ann', item 'b', data row 3: .*older than"):
        check_leakage(dataset, swapped, by_time=False)


def test_a_source_row_in_two_splits_is_refused(dataset: Dataset, raw: RawData) -> None:
    twice = replace(raw, source_rows=np.array([6, 7, 1, 2, 3, 4, 3]))

    with pytest.raises(LeakageError, match=r"user 'ann', item 'd', data row 3: .*twice"):
        check_leakage(dataset, twice, by_time=True)


def test_a_user_that_is_listed_twice_is_refused(dataset: Dataset, raw: RawData) -> None:
    """The test rows of one entry could be the training rows of the other."""
    with pytest.raises(LeakageError, match=r"user 'bob', item 'a', data row 2: .*listed twice"):
        check_leakage(replace(dataset, user_ids=("bob", "bob")), raw, by_time=True)
