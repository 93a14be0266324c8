"""The catalog: an ordered set of items, which maps each `item_id` to an `item_index`."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

PADDING_INDEX = 0

Attributes = Mapping[str, tuple[str, ...]]
"""Values by name of the attribute, to filter by: `{"genres": ("Comedy", "Drama")}`."""


@dataclass(frozen=True)
class Catalog:
    """Items in the order of their `item_index`, which counts from 1; index 0 is padding.

    Attributes:
        item_ids: id of each item; `item_ids[0]` belongs to item_index 1.
        titles: title of each item.
        attributes: attributes of each item; empty if it has none.
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
        """Number of rows of an array with one row per item and the padding row 0."""
        return len(self.item_ids) + 1

    @cached_property
    def index_by_id(self) -> Mapping[str, int]:
        """The `item_index` of each `item_id`."""
        return {item_id: index for index, item_id in enumerate(self.item_ids, start=1)}

    def title(self, item_index: int) -> str:
        """Returns the title of an item; `item_index` must not be 0, the padding."""
        return self.titles[item_index - 1]
