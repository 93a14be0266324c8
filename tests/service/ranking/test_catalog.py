from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export.contract.bundle import Item
from service.ranking.catalog import Catalog
from service.ranking.lookup.bundle_items import BundleItems
from service.stores.items.edits import ItemEdit


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
    extended = catalog.with_changes({"e": Item("e", "Toy Soldiers")})
    assert extended.index("e") == 5
    assert extended.find("e") == Item("e", "Toy Soldiers")
    assert extended.popular(9, np.ones(6, dtype=np.bool_))[-1] == 5
    assert [item.item_id for item in extended.search("toy", limit=9)] == ["a", "e"]
    assert catalog.find("e") is None


IDS = ("a", "b", "c", "x", "y", "z")
VALUES = st.dictionaries(
    st.sampled_from(["colour", "size"]), st.lists(st.sampled_from("rgb"), max_size=2), max_size=2
)
EDITS = st.none() | st.tuples(st.booleans(), st.none() | VALUES)
STEPS = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(IDS[3:]), st.none() | VALUES, max_size=3),
        st.dictionaries(
            st.sampled_from(IDS),
            st.none() | st.tuples(st.booleans(), st.none() | VALUES),
            max_size=3,
        ),
    ),
    max_size=6,
)


@settings(max_examples=50)
@given(STEPS)
def test_changes_one_after_another_lead_to_the_same_catalog_as_all_at_once(
    steps: list[tuple[dict[str, Any], dict[str, Any]]],
) -> None:
    empty = of(*(Item(each, each.upper(), 1, {"colour": ["r"]}) for each in IDS[:3]))
    stepwise = empty
    added: dict[str, Item | None] = {}
    edits: dict[str, ItemEdit | None] = {}
    for more, edited in steps:
        items = {
            key: None if values is None else Item(key, f"New {key}", attributes=values)
            for key, values in more.items()
        }
        changes = {
            key: None if each is None else ItemEdit(key, each[0], None, each[1])
            for key, each in edited.items()
        }
        stepwise = stepwise.with_changes(items, changes)
        added, edits = added | items, edits | changes
    assert seen(stepwise) == seen(empty.with_changes(added, edits))


def of(*items: Item) -> Catalog:
    return Catalog(BundleItems(items))


def seen(catalog: Catalog) -> dict[str, Any]:
    """The answers of a catalog, in which added items may have another order."""
    whole = np.ones(len(catalog) + 1, dtype=np.bool_)
    masks = {each: catalog.filters.mask({"colour": [each]}, {}) for each in "rgb"}
    filters = {
        each: set(catalog.ids_where(mask)) for each, mask in masks.items() if mask is not None
    }
    known = {each: index for each in IDS if (index := catalog.index(each))}
    return {
        "found": {each: catalog.find(each) for each in IDS},
        "known": {each: catalog.item(index).item_id for each, index in known.items()},
        "filters": filters,
        "search": {each.item_id for each in catalog.search("new", 10)},
        "popular": len(catalog.popular(10, whole)),
        "shown": set(catalog.ids_where(catalog.mask_of(IDS))),
    }
