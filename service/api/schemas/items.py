"""Schemas of requests that change items, and of the answers to them."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BaseModel, Field

from service.admission.costs import MAX_CHANGES
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


MAX_FAILURES = 100
"""Maximum number of failures that the answer to a bulk request names."""


class ChangedItem(RequestBody):
    """A change of one item in a bulk request; fields that are left out stay as they are."""

    item_id: ItemId
    removed: bool = Field(
        default=False,
        description="whether the item is removed; only added items can be, others can be hidden",
    )
    hidden: bool = Field(
        default=False, description="whether the item is neither recommended nor shown"
    )
    title: Annotated[str, Field(min_length=1, max_length=1024)] | None = Field(
        default=None, description="title; needed for an item that the service does not know"
    )
    attributes: Attributes | None = Field(default=None, description="all attributes to filter by")
    embedding: (
        Annotated[list[EmbeddingNumber], Field(min_length=1, max_length=16_384, fail_fast=True)]
        | None
    ) = Field(
        default=None,
        description="as in NewItem, for an item that is not in the bundle; if missing, an "
        "unchanged title keeps its embedding, and the connected teacher embeds a new one",
    )


class ChangedItems(RequestBody):
    """Changes of many items, which are made in their order."""

    items: Annotated[list[ChangedItem], Field(min_length=1, max_length=MAX_CHANGES)]


class FailedChange(BaseModel):
    """A change of a bulk request that was not made."""

    place: int = Field(description="place of the change in the request, from 0")
    item_id: str | None = Field(description="null: it cannot be read")
    status: int = Field(description="status that a request with this change alone would have")
    detail: str


class ChangedItemsAnswer(BaseModel):
    """The outcome of a bulk request."""

    processed: int = Field(
        description="number of changes that were worked on, from the first; if there are more in "
        "the request, its time was over: send the others again"
    )
    failed: int = Field(description="number of processed changes that were not made")
    failures: Sequence[FailedChange] = Field(
        description=f"the first {MAX_FAILURES} of those that were not made"
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
