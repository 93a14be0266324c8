"""The catalog: an ordered set of items; maps the shop's `item_id` to our `item_index`."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

PADDING_INDEX = 0

Attributes = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Catalog:
    """Items in index order; `item_ids[0]` has item_index 1, index 0 is padding.

    `attributes` holds, per item, named values to filter by (`{"genres": ("Comedy", "Drama")}`).
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
        """Number of rows of any per-item table: the items and the padding row 0."""
        return len(self.item_ids) + 1

    @cached_property
    def index_by_id(self) -> Mapping[str, int]:
        """Maps `item_id` to `item_index`."""
        return {item_id: index for index, item_id in enumerate(self.item_ids, start=1)}

    def title(self, item_index: int) -> str:
        """Title of an item; `item_index` must not be padding."""
        return self.titles[item_index - 1]
