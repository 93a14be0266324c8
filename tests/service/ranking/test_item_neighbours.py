import numpy as np
import pytest

from service.ranking.item_neighbours import ItemVectors

TABLE = np.array([[0, 0], [2, 0], [0, 3], [3, 4]], dtype=np.float32)
EVERYTHING = np.array([False, True, True, True])


def test_the_nearest_item_has_the_smallest_angle_whatever_its_length() -> None:
    """Item 3 is at a cosine of 3/5 from item 1, and of 4/5 from item 2."""
    vectors = ItemVectors(TABLE, np.zeros((0, 2), dtype=np.float32))
    (first, one), (second, other), (third, none) = vectors.nearest([1], 3, EVERYTHING)
    assert (first, second, third) == (1, 3, 2)
    assert (one, other, none) == pytest.approx((1, 0.6, 0))


def test_neighbours_of_several_items_are_ranked_by_the_mean_cosine() -> None:
    vectors = ItemVectors(TABLE, np.zeros((0, 2), dtype=np.float32))
    allowed = np.array([False, False, False, True])
    ranking = vectors.nearest([1, 2], 5, allowed)
    assert [index for index, _ in ranking] == [3]
    assert ranking[0][1] == pytest.approx(0.7)


def test_added_items_are_compared_as_those_of_the_bundle() -> None:
    vectors = ItemVectors(TABLE, np.array([[0, 9]], dtype=np.float32))
    assert vectors.nearest([4], 1, np.array([False, True, True, True, False]))[0][0] == 2
    assert vectors.nearest([2], 1, np.array([False, True, False, True, True]))[0][0] == 4


def test_a_zero_vector_has_cosine_zero() -> None:
    vectors = ItemVectors(TABLE, np.zeros((1, 2), dtype=np.float32))
    assert vectors.nearest([1], 4, np.ones(5, dtype=np.bool_))[-1][1] == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_vector_that_is_not_finite_is_told(value: float) -> None:
    damaged = TABLE.copy()
    damaged[2, 1] = value
    none = np.zeros((0, 2), dtype=np.float32)
    assert ItemVectors(TABLE, none).are_finite_in_bundle
    assert not ItemVectors(damaged, none).are_finite_in_bundle
