"""Answers to requests about single items of the catalog: search, lookup, additions, edits."""

from typing import TypedDict


class ItemAnswer(TypedDict):
    """An item of the catalog.

    Attributes:
        popularity: number of its training interactions.
        attributes: values to filter by, by name of the attribute.
    """

    item_id: str
    title: str
    popularity: int
    attributes: dict[str, list[str]]


class ItemsAnswer(TypedDict):
    """Items that match a search, the most popular first."""

    items: list[ItemAnswer]


class AddedItemAnswer(ItemAnswer):
    """An item that was added at run time.

    Attributes:
        variants: names of the variants that can recommend it.
    """

    variants: list[str]


class ItemEditAnswer(TypedDict):
    """All that is different about an item since it was added or its bundle was made.

    Attributes:
        title: None: the item's own title.
        attributes: None: the item's own attributes.
    """

    item_id: str
    hidden: bool
    title: str | None
    attributes: dict[str, list[str]] | None


class FailedChange(TypedDict):
    """A change of a bulk request that was not made.

    Attributes:
        place: place of the change in the request, from 0.
        item_id: None: it cannot be read.
        status: status that a request with this change alone would have.
        detail: the reason, for people.
    """

    place: int
    item_id: str | None
    status: int
    detail: str


class ChangedItemsAnswer(TypedDict):
    """The outcome of a bulk request.

    Attributes:
        processed: number of changes that were worked on, from the first; send the others again.
        failed: number of processed changes that were not made.
        failures: the first 100 of those that were not made.
    """

    processed: int
    failed: int
    failures: list[FailedChange]
