"""Tests of what a catalog may hold, so that a bundle can hold it too."""

import json
import re
from collections.abc import Mapping

import pytest

from export.contract.items import Item, line_of
from export.contract.records import MAX_LINE_LENGTH, MAX_NUMBER
from training.data.catalog import Catalog
from training.errors import DataError


def catalog(
    item_id: str = "a",
    title: str = "Alien",
    attributes: Mapping[str, tuple[str, ...]] | None = None,
) -> Catalog:
    return Catalog(("0", item_id), ("Heat", title), ({}, attributes or {}))


LONG: Mapping[str, tuple[Catalog, str]] = {
    "id": (catalog(item_id="é" * 257), "item_id has 257 characters"),
    "title": (catalog(title="x" * 4_097), "item 'a': title has 4,097 characters"),
    "name": (
        catalog(attributes={"n" * 257: ("x",)}),
        "the name of an attribute has 257 characters",
    ),
    "value": (
        catalog(attributes={"about": ("y", "x" * 5_000)}),
        "a value of 'about' has 5,000 characters",
    ),
}


@pytest.mark.parametrize("case", LONG)
def test_a_text_that_is_too_long_for_a_bundle_is_named(case: str) -> None:
    held, problem = LONG[case]
    with pytest.raises(DataError, match=re.escape(problem)):
        held.check_servable()


@pytest.mark.parametrize("text", ["x", "é", "\U0001f600", "\x01", '"', ""])
def test_an_item_is_refused_from_the_first_byte_on_that_a_line_cannot_hold(text: str) -> None:
    def bytes_with(values: int) -> int:
        item = Item("a", "Alien", MAX_NUMBER, {"t": (text,) * values})
        return len(json.dumps(line_of(item), ensure_ascii=False).encode())

    fits = (MAX_LINE_LENGTH - bytes_with(1)) // (bytes_with(3) - bytes_with(2)) + 1
    assert bytes_with(fits) <= MAX_LINE_LENGTH < bytes_with(fits + 1)
    catalog(attributes={"t": (text,) * fits}).check_servable()
    with pytest.raises(DataError, match=f"item 'a': .* {bytes_with(fits + 1):,} bytes of JSON"):
        catalog(attributes={"t": (text,) * (fits + 1)}).check_servable()


def test_the_longest_texts_that_a_bundle_holds_are_accepted() -> None:
    catalog("é" * 256, "x" * 4_096, {"n" * 256: ("y" * 4_096,)}).check_servable()
