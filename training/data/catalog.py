"""The catalog: an ordered set of items, which maps each `item_id` to an `item_index`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

PADDING_INDEX = 0

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
