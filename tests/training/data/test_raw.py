import numpy as np
import pytest

from training.data.catalog import Catalog
from training.data.raw import RawData
from training.data.row_order import order_by_user

pytestmark = pytest.mark.usefixtures("each_block_size")

CATALOG = Catalog(
    item_ids=("a", "b", "c"), titles=("A", "B", "C"), attributes=({}, {"year": ("1999",)}, {})
)


@pytest.fixture
def raw() -> RawData:
    """bob: c (5); ann: a (1), b (3), c (9)."""
    return order_by_user(
        "here",
        CATALOG,
        ["bob", "ann", "ann", "ann"],
        np.array([3, 3, 1, 2]),
        timestamps=np.array([5, 9, 1, 3]),
    )


def test_rows_are_ordered_by_user_and_then_by_time(raw: RawData) -> None:
    assert raw.users.tolist() == [0, 1, 1, 1]
    assert raw.item_indices.tolist() == [3, 1, 2, 3]
    assert raw.user_offsets.tolist() == [0, 1, 4]


def test_users_keep_the_order_of_their_first_row(raw: RawData) -> None:
    assert raw.user_ids == ("bob", "ann")


def test_each_row_knows_its_row_in_the_source(raw: RawData) -> None:
    assert raw.source_rows.tolist() == [1, 3, 4, 2]


def test_equal_timestamps_are_ordered_by_position_and_then_as_in_the_source() -> None:
    raw = order_by_user(
        "here",
        CATALOG,
        ["ann"] * 4,
        np.array([1, 2, 3, 1]),
        timestamps=np.array([7, 7, 7, 1]),
        positions=np.array([2, 1, 2, 9]),
    )

    assert raw.source_rows.tolist() == [4, 2, 1, 3]


def test_a_selection_drops_users_and_items_without_a_row(raw: RawData) -> None:
    selected = raw.select(np.array([False, False, True, True]))

    assert selected.user_ids == ("ann",)
    assert selected.catalog.item_ids == ("b", "c")
    assert selected.catalog.attributes == ({"year": ("1999",)}, {})
    assert selected.users.tolist() == [0, 0]
    assert selected.item_indices.tolist() == [1, 2]
    assert selected.source_rows.tolist() == [4, 2]
    assert selected.timestamps is not None
    assert selected.timestamps.tolist() == [3, 9]
