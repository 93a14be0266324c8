"""Schemas of requests that change items, and of the answers to them."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BaseModel, Field

from service.api.schemas.bodies import Attributes, ItemAnswer, ItemId, RequestBody
from service.teacher.client import EmbeddingNumber


class NewItem(RequestBody):
    """An item to add, which is not in the bundle."""

    item_id: ItemId
    title: Annotated[str, Field(min_length=1, max_length=1024)]
    embedding: (
        Annotated[
            list[EmbeddingNumber],
            Field(min_length=1, max_length=16_384, fail_fast=True),
        ]
        | None
    ) = Field(
        default=None,
        description="embedding by the same LLM, and made in the same way, as those of the bundle's "
        "items; if missing, the connected teacher embeds the title",
    )
    attributes: Attributes = Field(default={})


class ItemPatch(RequestBody):
    """Changes of an item; a field that is left out stays as it is."""

    hidden: bool = Field(
        default=False, description="whether the item is neither recommended nor shown"
    )
    title: Annotated[str, Field(min_length=1, max_length=1024)] | None = Field(
        default=None,
        description="title to show; the student does not read it; null: the item's own title",
    )
    attributes: Attributes | None = Field(
        default=None, description="all attributes to filter by; null: the item's own"
    )


class AddedItemAnswer(ItemAnswer):
    """An item that was added at run time."""

    variants: Sequence[str] = Field(description="names of the variants that recommend the item")


class ItemEditAnswer(BaseModel):
    """The edit of an item: its differences from the item in the bundle, or from the added item."""

    item_id: str
    hidden: bool
    title: str | None = Field(description="null: the item's own title")
    attributes: Mapping[str, Sequence[str]] | None = Field(description="null: the item's own")
