"""Reads and writes the items of a bundle, one per line of `items.jsonl`, and reads its histories.

This module imports the standard library only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from export.contract.layout import MAX_HISTORIES
from export.contract.records import (
    COUNT,
    FLAG,
    ID,
    IDS,
    TEXTS_BY_NAME,
    TITLE,
    BundleError,
    Checks,
    build,
    numbered_lines,
    parse,
    parse_object,
    shown,
)


@dataclass(frozen=True)
class Item:
    """An item of a bundle's catalog, with the fields that the service shows and filters by.

    Attributes:
        item_id: the shop's identifier of the item.
        title: the title that people and the LLM read.
        popularity: number of the item's interactions in the training data.
        attributes: values by attribute name, for filters; empty if the item has none.
        is_read: whether the student reads the item in a history. An item that is not read has a
            meaningless vector. It is left out of histories before they are ranked, and still counts
            as seen. `items.jsonl` has this field only where it is false.
    """

    item_id: str
    title: str
    popularity: int = 0
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    is_read: bool = True


_CHECKS: Checks = {
    "item_id": ID,
    "title": TITLE,
    "popularity": COUNT,
    "attributes": TEXTS_BY_NAME,
    "is_read": FLAG,
}


def line_of(item: Item) -> dict[str, Any]:
    """Returns the JSON object of an item's line, without the key `is_read` if the item is read."""
    # `asdict` would copy every value, which takes most of the time of a large catalog.
    return {name: each for name, each in vars(item).items() if name != "is_read" or not each}


def parse_items(path: Path, text: bytes) -> tuple[Item, ...]:
    """Parses the items in `text`, the content of the file `path`.

    Raises:
        BundleError: a line is not an item, or an id occurs twice. The message names `path`.
    """
    items: dict[str, Item] = {}
    for place, line in numbered_lines(path, text):
        item = parse_item(place, line)
        if item.item_id in items:
            raise BundleError(f"{place}: item_id {item.item_id!r} occurs twice")
        items[item.item_id] = item
    return tuple(items.values())


def parse_item(place: str, line: bytes) -> Item:
    """Parses a line of `items.jsonl`, without its line feed.

    Raises:
        BundleError: the line is not an item; the message begins with `place`.
    """
    return build(Item, {"is_read": True, **parse_object(place, line)}, _CHECKS, place)


def parse_histories(path: Path, text: bytes) -> tuple[tuple[str, ...], ...]:
    """Reads histories, one list of item ids per line of the file `path`.

    Raises:
        BundleError: a line is not a list of item ids, or there are too many.
    """
    histories = []
    for place, line in numbered_lines(path, text):
        history = parse(place, line)
        if not IDS.passes(history):
            raise BundleError(f"{place}: not a list of item ids: {shown(repr(history))}")
        histories.append(tuple(history))
        if len(histories) > MAX_HISTORIES:
            raise BundleError(f"{place}: at most {MAX_HISTORIES:,} histories are read")
    return tuple(histories)
