"""Maximal marginal relevance, by hand: 1 and 2 are alike, 3 is orthogonal to both."""

from typing import Any

import numpy as np
import pytest

from export.contract.bundle import Item
from service.ranking.catalog import Catalog
from service.ranking.lookup.bundle_items import BundleItems
from service.ranking.rules.diversity import choose_diverse, pool_size
from service.ranking.rules.value_limits import ValueLimits

ITEMS = [Item(each, each, attributes={"kind": [kind]}) for each, kind in ("1x", "2x", "3y", "4x")]
POOL = (np.array([1, 2, 3, 4]), np.array([4.0, 3.5, 2.0, 0.0]))
VECTORS = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
NONE = np.zeros((0, 2))


def choose(diversity: float, number: int = 3, pinned: Any = NONE, **max_per: int) -> list[int]:
    limits = ValueLimits(Catalog(BundleItems(ITEMS)), max_per)
    return choose_diverse(POOL, VECTORS, pinned, diversity, number, limits)


def test_without_weight_the_order_of_scores_stays() -> None:
    assert choose(0.0, 4) == [0, 1, 2, 3]


def test_an_item_like_the_first_one_comes_after_a_different_one() -> None:
    """Relevance 1, 7/8, 1/2, 0. After the first: 7/16 - 1/2 < 1/4 - 0 < 0 + 1/2.

    Then the largest cosines are 1, 0: -1/16 against 1/4.
    """
    assert choose(0.5) == [0, 3, 2]


def test_a_small_weight_changes_less() -> None:
    """After the first, with 0.2: 0.7 - 0.2 > 0.4 - 0 > 0 + 0.2."""
    assert choose(0.2) == [0, 1, 2]


def test_pinned_items_count_as_chosen_before() -> None:
    """With 0.6: 0.4 - 0.6, 0.35 - 0.6, 0.2 - 0, 0 + 0.6."""
    assert choose(0.6, 1, pinned=np.array([[1.0, 0.0]])) == [3]


def test_items_that_a_limit_refuses_are_skipped() -> None:
    assert choose(0.5, kind=1) == [0, 2]


def test_equal_scores_are_equally_relevant() -> None:
    pool = (np.array([1, 2, 3]), np.array([2.0, 2.0, 2.0]))
    limits = ValueLimits(Catalog(BundleItems(ITEMS)), {})
    assert choose_diverse(pool, VECTORS[:3], NONE, 0.5, 2, limits) == [0, 2]


@pytest.mark.parametrize(("k", "size"), [(1, 10), (20, 200), (100, 1000), (800, 1600)])
def test_the_pool_has_ten_items_a_place_and_is_bounded(k: int, size: int) -> None:
    assert pool_size(k) == size
