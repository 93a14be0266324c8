"""Many ids of mapped items are found as each alone is."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from export.contract.bundle import BundleError, Item
from export.contract.columns.mapped_items import MappedItems
from export.contract.reading import open_verified, sha256_of
from service.ranking.lookup.ids import MANY, MappedIds
from tests.export.contract.columns.test_columns import ALIKE, mapped


@pytest.fixture
def items(tmp_path: Path) -> MappedItems:
    """Hundreds of items, two of them with hashes that begin alike."""
    others = [f"i{place}" for place in range(300)]
    return mapped(tmp_path, [Item(each, "Heat") for each in (ALIKE[0], *others, ALIKE[1])])


def one_by_one(items: MappedItems, ids: Sequence[str]) -> list[int | None]:
    return [items.index_of(each) for each in ids]


def test_many_ids_known_and_unknown_are_found_in_their_order(items: MappedItems) -> None:
    ids = [*(f"i{place}" for place in range(299, 100, -2)), "x", ALIKE[1], "i7", ALIKE[0], "i7"]
    assert len(ids) >= MANY
    found = MappedIds(items).indices(iter(ids))
    assert found == one_by_one(items, ids)
    assert found[:2] == [301, 299]
    assert found[-5:] == [None, 302, 9, 1, 9]


def test_few_ids_are_found_too(items: MappedItems) -> None:
    assert MappedIds(items).indices(["i0", "x", ALIKE[1]]) == [2, None, 302]


def test_an_id_that_cannot_be_encoded_is_unknown(items: MappedItems) -> None:
    ids = ["\ud800", *(f"i{place}" for place in range(MANY))]
    assert MappedIds(items).indices(ids) == [None, *range(2, MANY + 2)]


def test_ids_beyond_the_last_hash_are_unknown(tmp_path: Path) -> None:
    items = mapped(tmp_path, [Item("i0", "Heat")])
    ids = [f"i{place}" for place in range(MANY)]
    assert MappedIds(items).indices(ids) == [1] + [None] * (MANY - 1)


def test_an_index_that_no_item_has_is_refused(items: MappedItems, tmp_path: Path) -> None:
    every = memoryview(b"\xff" * 4 * len(items)).cast("I")
    path = tmp_path / "items.jsonl"
    lines = open_verified(path, 1 << 20, sha256_of(path, 1 << 20))
    damaged = MappedItems(path, lines, {**items.columns, "items_by_hash": every})
    with pytest.raises(BundleError, match="the columns of the items name item 4294967295"):
        MappedIds(damaged).indices([f"i{place}" for place in range(MANY)])
