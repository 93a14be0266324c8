from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.catalog import Catalog
from training.data.core_filter import keep_core
from training.data.raw import RawData
from training.data.row_order import order_by_user
from training.errors import DataError

pytestmark = pytest.mark.usefixtures("each_block_size")

Pair = tuple[str, str]


def raw_of(pairs: list[Pair]) -> RawData:
    item_ids = tuple(sorted({item_id for _, item_id in pairs}))
    catalog = Catalog(item_ids=item_ids, titles=item_ids, attributes=({},) * len(item_ids))
    return order_by_user(
        "here",
        catalog,
        [user_id for user_id, _ in pairs],
        np.array([catalog.index_by_id[item_id] for _, item_id in pairs]),
        positions=np.arange(len(pairs)),
    )


def pairs_of(raw: RawData) -> list[Pair]:
    return [
        (raw.user_ids[user], raw.catalog.item_ids[item - 1])
        for user, item in zip(raw.users, raw.item_indices, strict=True)
    ]


def core_one_by_one(pairs: list[Pair], k: int) -> list[Pair]:
    """Removes the pairs of one rare user and item at a time."""
    while True:
        users, items = Counter(user for user, _ in pairs), Counter(item for _, item in pairs)
        rare = next((p for p in pairs if users[p[0]] < k or items[p[1]] < k), None)
        if rare is None:
            return pairs
        pairs = [pair for pair in pairs if pair != rare]


def test_removing_a_user_can_remove_an_item_and_then_another_user() -> None:
    """Cay has one row. Without it c has one row, and without that bob has one row."""
    kept = [("ann", "a"), ("ann", "b"), ("dan", "a"), ("dan", "b")]
    chain = [("bob", "a"), ("bob", "c"), ("cay", "c")]

    assert pairs_of(keep_core(raw_of(kept + chain), 2)) == kept


def test_a_repeated_interaction_counts_each_time() -> None:
    pairs = [("ann", "a"), ("ann", "a")]

    assert pairs_of(keep_core(raw_of(pairs), 2)) == pairs


def test_an_empty_core_is_refused_by_the_name_of_the_setting() -> None:
    with pytest.raises(DataError, match=r"here: no user .*data\.min_interactions = 3"):
        keep_core(raw_of([("ann", "a"), ("bob", "a")]), 3)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("tuvwx"), st.sampled_from("abcde")), min_size=1),
    st.integers(1, 4),
)
def test_the_core_is_the_one_found_by_removing_pairs_one_by_one(pairs: list[Pair], k: int) -> None:
    expected = core_one_by_one(pairs, k)
    if not expected:
        with pytest.raises(DataError):
            keep_core(raw_of(pairs), k)
        return
    assert Counter(pairs_of(keep_core(raw_of(pairs), k))) == Counter(expected)
