"""Edits of items at run time: an item is hidden, or gets another title or other attributes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import orjson
from pydantic import BaseModel

from export.contract.bundle import Item
from service.stores.items.protocol import ItemStore, decoded


@dataclass(frozen=True, slots=True)
class ItemEdit:
    """Changes to an item of the bundle or to an added item.

    Attributes:
        item_id: id of the item.
        hidden: whether the item is neither recommended nor shown.
        title: the title to show; None: the item's own title.
        attributes: the attributes to filter by; None: the item's own attributes.
    """

    STATE: ClassVar[str] = "edited"

    item_id: str
    hidden: bool = False
    title: str | None = None
    attributes: Mapping[str, Sequence[str]] | None = None

    @property
    def changes_nothing(self) -> bool:
        """Whether the edit neither hides the item nor replaces its title or attributes."""
        return self == ItemEdit(self.item_id)

    def applied_to(self, item: Item) -> Item:
        """Returns a copy of the item with the edit's title and attributes, where they are given."""
        return replace(
            item,
            title=item.title if self.title is None else self.title,
            attributes=item.attributes if self.attributes is None else self.attributes,
        )

    def to_json(self) -> bytes:
        """Implements `Record.to_json`."""
        content = {  # not `asdict`, which copies the attributes
            "item_id": self.item_id,
            "hidden": self.hidden,
            "title": self.title,
            "attributes": self.attributes,
        }
        return orjson.dumps(content)

    @classmethod
    def from_json(cls, text: bytes | str) -> Self:
        """Implements `Record.from_json`."""
        return cls(**vars(decoded(_Stored, text, "an edit of an item")))


class _Stored(BaseModel):
    """Pydantic model of an edit in JSON, which validates stored edits."""

    item_id: str
    hidden: bool
    title: str | None
    attributes: dict[str, list[str]] | None


ItemEditStore = ItemStore[ItemEdit]
"""A store of edits."""
