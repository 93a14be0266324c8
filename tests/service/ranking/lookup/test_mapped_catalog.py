"""A catalog of mapped items answers as one of the same items in memory does."""

from pathlib import Path

import numpy as np
import pytest

from export.contract.bundle import BundleError, Item
from service.ranking.catalog import Catalog
from service.ranking.lookup import titles
from service.ranking.lookup.bundle_items import BundleItems
from service.ranking.lookup.places import Places
from service.stores.items.edits import ItemEdit
from tests.export.contract.columns.test_columns import mapped

WORDS = ("red", "green", "blue", "Großer", "toy", "car")
QUERIES = ("", "re", "CAR red", "grosser", "new", "nothing")


def some_items(number: int) -> list[Item]:
    """Items of random titles, popularities and colours; every fifth is not read."""
    random = np.random.default_rng(0)
    return [
        Item(
            f"i{place}",
            " ".join(random.choice(WORDS, 3).tolist()),
            int(random.integers(0, 4)),
            {"colour": random.choice(["r", "g"], random.integers(0, 3), replace=False).tolist()},
            is_read=place % 5 > 0,
        )
        for place in range(number)
    ]


ITEMS = some_items(60)


@pytest.fixture(params=["one block of titles", "many blocks of titles"])
def catalogs(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Catalog, Catalog]:
    """A catalog of items in memory, and one of the same items in mapped files."""
    if request.param == "many blocks of titles":
        monkeypatch.setattr(titles, "_BLOCK_SIZE", 40)
        monkeypatch.setattr(titles, "_BLOCKS_KEPT", 2)
    return Catalog(BundleItems(ITEMS)), Catalog(BundleItems(mapped(tmp_path, ITEMS)))


def answers(catalog: Catalog) -> dict[str, object]:
    everything = np.arange(len(catalog) + 1) % 3 > 0
    masks = [catalog.filters.mask({"colour": [each]}, {}) for each in "rg"]
    return {
        "items": [catalog.item(index) for index in range(1, len(catalog) + 1)],
        "indices": catalog.known_indices(["i9", "new", "i3", "none", "i59"]),
        "many indices": catalog.known_indices([*(f"i{each}" for each in range(90)), "new"]),
        "popular": catalog.popular(40, everything),
        "search": {each: [*catalog.search(each, limit=50)] for each in QUERIES},
        "filters": [None if each is None else each.tolist() for each in masks],
        "ids": [*catalog.ids_where(everything)],
        "divided": catalog.divided([1, 2, 6, 7]),
        "hidden": [*catalog.hidden],
        "in bundle": [catalog.is_in_bundle(each) for each in ("i1", "new")],
    }


def test_both_answer_alike(catalogs: tuple[Catalog, Catalog]) -> None:
    in_memory, in_files = catalogs
    assert answers(in_files) == answers(in_memory)


def test_both_answer_alike_after_changes(catalogs: tuple[Catalog, Catalog]) -> None:
    changes = {
        "new": Item("new", "New red car", attributes={"colour": ["g"]}),
        "newer": Item("newer", "Newer toy", attributes={"colour": ["r"]}),
    }
    edits = {
        "i4": ItemEdit("i4", title="A new title"),
        "i9": ItemEdit("i9", hidden=True),
        "i5": ItemEdit("i5", attributes={"colour": ["b"]}),
        "new": ItemEdit("new", title="Newest car"),
    }
    one, other = (each.with_changes(changes, edits) for each in catalogs)
    assert answers(other) == answers(one)
    one, other = (each.with_changes({"new": None}, {"i4": None}) for each in (one, other))
    assert answers(other) == answers(one)


def test_a_search_of_all_titles_gives_memory_back_on_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items, released = mapped(tmp_path, ITEMS), list[memoryview]()
    monkeypatch.setattr(titles, "_BLOCK_SIZE", 1)  # a block for each title
    monkeypatch.setattr(titles, "_BLOCKS_KEPT", 16)
    monkeypatch.setattr(titles, "release", released.append)
    assert Catalog(BundleItems(items)).search("no such title", limit=1) == []
    assert len(released) == len(ITEMS) // 16


def test_an_index_that_no_item_has_is_refused(tmp_path: Path) -> None:
    items = mapped(tmp_path, ITEMS)
    items.columns = {**items.columns, "postings": memoryview(b"\x3d\0\0\0").cast("I")}  # 61
    with pytest.raises(BundleError, match="postings"):
        BundleItems(items)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (b"no json", "not JSON"),
        (b"[7]", "does not list names, values and numbers"),
        (b'[["colour", "r", "2"]]', "does not list names, values and numbers"),
        (b'[["colour", "r", 1]]', r"counts 1 of \d+ postings"),
    ],
)
def test_other_attribute_values_than_there_are_postings_are_refused(
    tmp_path: Path, values: bytes, reason: str
) -> None:
    items = mapped(tmp_path, ITEMS)
    items.columns = {**items.columns, "values": memoryview(values)}
    with pytest.raises(BundleError, match=f"the column values of the items.*{reason}"):
        BundleItems(items)


def test_places_have_changes_over_a_sequence() -> None:
    places = Places("abc").with_changes(4, {1: "B", 3: "D"})
    assert [*places] == ["a", "B", "c", "D"]
    assert [places[-1], *places[:2]] == ["D", "a", "B"]
    shorter = places.with_changes(2, {0: "A"})
    assert [*shorter] == ["A", "B"]
    with pytest.raises(IndexError):
        shorter[2]
