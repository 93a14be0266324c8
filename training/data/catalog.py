"""The catalog: an ordered set of items, which maps each `item_id` to an `item_index`."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from export.contract.items import Item, line_of
from export.contract.records import (
    ID,
    MAX_ID_LENGTH,
    MAX_LINE_LENGTH,
    MAX_NUMBER,
    NAME,
    TITLE,
    Check,
    shown,
)
from training.errors import DataError

PADDING_INDEX = 0
_SURELY_FITS = 8_000  # characters and marks of an item, each at most six bytes of JSON
_MARKS = 8  # at most, around a text: its quotes, brackets, commas and spaces

Attributes = Mapping[str, tuple[str, ...]]
"""Attributes of one item: values by name, such as `{"genres": ("Comedy", "Drama")}`.

Requests to the service can filter items by them.
"""


@dataclass(frozen=True)
class Catalog:
    """The items of a dataset, ordered by `item_index`, which counts from 1; 0 is padding.

    Attributes:
        item_ids: id of each item; `item_ids[0]` has item_index 1.
        titles: title of each item, in the same order.
        attributes: attributes of each item, in the same order; empty for an item without any.
    """

    item_ids: tuple[str, ...]
    titles: tuple[str, ...]
    attributes: tuple[Attributes, ...]

    @property
    def num_items(self) -> int:
        """Number of items, padding not counted."""
        return len(self.item_ids)

    @property
    def num_rows(self) -> int:
        """Number of items plus one: the length of an array with row 0 for padding."""
        return len(self.item_ids) + 1

    @cached_property
    def index_by_id(self) -> Mapping[str, int]:
        """Mapping from each `item_id` to its `item_index`."""
        return {item_id: index for index, item_id in enumerate(self.item_ids, start=1)}

    def select(self, rows: Iterable[int]) -> "Catalog":
        """Returns the items at `rows`, counted from 0, in this order."""
        chosen = [int(row) for row in rows]
        return Catalog(
            item_ids=tuple(self.item_ids[row] for row in chosen),
            titles=tuple(self.titles[row] for row in chosen),
            attributes=tuple(self.attributes[row] for row in chosen),
        )

    def sorted_by_id(self) -> "Catalog":
        """Returns the items in the order of their ids."""
        return self.select(sorted(range(self.num_items), key=self.item_ids.__getitem__))

    def title(self, item_index: int) -> str:
        """Returns the title of the item with this `item_index`, which must not be 0 (padding)."""
        return self.titles[item_index - 1]

    def check_servable(self) -> None:
        """Checks that a bundle can hold every item, so that no training ends in a refused export.

        Raises:
            DataError: an id, a title, the name or a value of an attribute, or an item as a whole is
                too long; the message names the item.
        """
        for texts in zip(self.item_ids, self.titles, self.attributes, strict=True):
            if (length := _length(*texts)) > MAX_ID_LENGTH:  # else no text of it is too long
                _check(Item(*texts[:2], MAX_NUMBER, texts[2]), length)


def _length(item_id: str, title: str, attributes: Attributes) -> int:
    """Returns the number of an item's characters and of the marks between them, at most."""
    length = len(item_id) + len(title) + 2 * _MARKS
    for name, values in attributes.items():
        length += len(name) + sum(map(len, values)) + _MARKS * (1 + len(values))
    return length


def _check(item: Item, length: int) -> None:
    place = f"item {shown(item.item_id)!r}"
    for name, text, check in _texts(item):
        if not check.passes(text):
            raise DataError(
                f"{place}: {name} has {len(text):,} characters; a bundle can hold {check.expected}"
            )
    if length > _SURELY_FITS and (size := len(_line(item))) > MAX_LINE_LENGTH:
        raise DataError(
            f"{place}: its title and attributes are {size:,} bytes of JSON; a bundle can hold "
            f"{MAX_LINE_LENGTH:,}"
        )


def _texts(item: Item) -> Iterator[tuple[str, str, Check]]:
    """Yields what each text of an item is, the text, and its check."""
    yield "item_id", item.item_id, ID
    yield "title", item.title, TITLE
    for name, values in item.attributes.items():
        yield "the name of an attribute", name, NAME
        for value in values:
            yield f"a value of {shown(name)!r}", value, TITLE


def _line(item: Item) -> bytes:
    return json.dumps(line_of(item), ensure_ascii=False).encode()
