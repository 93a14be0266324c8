import numpy as np
import pytest

from export.contract.bundle import Item
from service.ranking.catalog import BundleItems, Catalog


@pytest.fixture
def catalog() -> Catalog:
    titles = ["Toy Story", "Heat", "Story of Us", "Straße"]
    popularities = [5, 1, 9, 1]
    items = zip("abcd", titles, popularities, strict=True)
    return Catalog(BundleItems([Item(*each) for each in items]))


def test_the_first_item_has_index_one(catalog: Catalog) -> None:
    assert catalog.known_indices(["d", "x", "a", "d"]) == [4, 1, 4]
    assert catalog.item(1).title == "Toy Story"


def test_popular_items_of_equal_count_keep_the_order_of_the_catalog(catalog: Catalog) -> None:
    assert catalog.popular(4, np.array([False, True, True, True, True])) == [3, 1, 2, 4]
    assert catalog.popular(2, np.array([False, False, True, False, True])) == [2, 4]


@pytest.mark.parametrize(
    ("query", "found"),
    [("story", "ca"), ("STORY toy", "a"), ("strasse", "d"), ("", "cabd"), ("nothing", "")],
)
def test_a_search_finds_titles_with_every_word(catalog: Catalog, query: str, found: str) -> None:
    assert "".join(item.item_id for item in catalog.search(query, limit=10)) == found


def test_a_search_ends_at_its_limit(catalog: Catalog) -> None:
    assert [item.item_id for item in catalog.search("story", limit=1)] == ["c"]


def test_an_unknown_id_finds_nothing(catalog: Catalog) -> None:
    assert catalog.find("x") is None


def test_added_items_follow_those_of_the_bundle(catalog: Catalog) -> None:
    """Added items have no popularity yet, so all others come before them."""
    extended = catalog.with_added([Item("e", "Toy Soldiers")])
    assert extended.index("e") == 5
    assert extended.find("e") == Item("e", "Toy Soldiers")
    assert extended.popular(9, np.ones(6, dtype=np.bool_))[-1] == 5
    assert [item.item_id for item in extended.search("toy", limit=9)] == ["a", "e"]
    assert catalog.find("e") is None
