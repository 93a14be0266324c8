"""Reads the table of items: CSV, Parquet, Arrow, RecBole's `.item`, or `items.jsonl` of a bundle.

A table has the columns `item_id` and `title`. Every other column is an attribute, with `|` between
its values; in Parquet and Arrow files it may have lists of values, none with a `|`. A line of
`items.jsonl` is an object with `item_id`, `title` and `attributes`.
"""

import html
import json
import re
import reprlib
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from export.contract.records import is_writable
from training.data.catalog import Attributes, Catalog
from training.data.sources.table_files import check_readable, file_stamp, table_stamps
from training.data.sources.text_table import is_blank, read_with_origin
from training.data.sources.wrong_rows import refuse_rows
from training.errors import DataError

MissingTitles = Literal["refuse", "placeholder"]
"""Treatment of an item without a title: `refuse` raises a DataError, `placeholder` gives it the
title `Untitled item <item_id>`."""

# Bounded: Python refuses a number of thousands of digits. The largest code point has seven.
_ENTITY = re.compile(r"&(?:#\d{1,16}|#[xX][0-9a-fA-F]{1,16}|[A-Za-z][A-Za-z0-9]*);")


def read_items(path: Path, missing_titles: MissingTitles = "refuse") -> Catalog:
    """Reads the table of items; item indices follow its order.

    Args:
        path: the table.
        missing_titles: "refuse" raises a DataError for an item without a title; "placeholder" gives
            it the title `Untitled item <item_id>`. In `items.jsonl`, every item must have a title.

    Raises:
        DataError: the table is missing or malformed, or rows are wrong; the message names file,
            data rows and values.
    """
    if _is_of_a_bundle(path):
        return _read_json_lines(path)
    table, origin = read_with_origin(path, ["item_id", "title"])
    item_ids, titles = table["item_id"], table["title"]
    refuse_rows(origin, "item_id is missing", item_ids, is_blank(item_ids))
    refuse_rows(origin, "item_id occurs more than once", item_ids, item_ids.duplicated())
    plain = titles.fillna("").map(_readable)
    is_untitled = is_blank(plain)
    if missing_titles == "refuse":
        problem = 'title is missing (data.missing_titles = "placeholder" would accept it)'
        refuse_rows(origin, problem, titles, is_untitled)
    readable = [
        title or f"Untitled item {item_id}" for item_id, title in zip(item_ids, plain, strict=True)
    ]
    return Catalog(
        item_ids=tuple(item_ids), titles=tuple(readable), attributes=_read_attributes(table)
    )


def items_stamps(path: Path) -> list[str]:
    """Returns a hash of each file of the table of items, in the order of their paths.

    Raises:
        DataError: for a reason of `table_stamps`.
    """
    return [file_stamp(path)] if _is_of_a_bundle(path) else table_stamps(path)


def _is_of_a_bundle(path: Path) -> bool:
    return path.suffix.lower() == ".jsonl"


def _read_json_lines(path: Path) -> Catalog:
    items: dict[str, tuple[str, Attributes]] = {}
    check_readable(path)
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            item_id, title, attributes = _item_of(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise DataError(
                f"{path}, line {number}: not an item; needs item_id and title as strings that are "
                "not empty; attributes, if given, must be an object of lists of strings"
            ) from None
        if (wrong := _not_values(attributes)) is not None:
            given = reprlib.repr(attributes[wrong])
            raise DataError(
                f"{path}, line {number}: attributes.{wrong}: {given}: must be a list of strings"
            )
        if (text := _unwritable(item_id, title, attributes)) is not None:
            raise DataError(
                f"{path}, line {number}: {text!a}: half of a surrogate pair, which is no character"
            )
        if item_id in items:
            raise DataError(f"{path}, line {number}: item_id {item_id!r} occurs more than once")
        items[item_id] = title, {name: tuple(values) for name, values in attributes.items()}
    titles, attributes_of_items = zip(*items.values(), strict=True)
    return Catalog(tuple(items), titles, attributes_of_items)


def _item_of(line: dict[str, object]) -> tuple[str, str, dict[str, Any]]:
    """Returns id, readable title and unchecked attributes of the item in a line of `items.jsonl`.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: the line is not an item.
    """
    item_id, title, attributes = line["item_id"], line["title"], line.get("attributes", {})
    if not isinstance(item_id, str) or not isinstance(title, str):
        raise TypeError(line)
    if not isinstance(attributes, dict) or not item_id.strip() or not _readable(title):
        raise ValueError(line)
    return item_id, _readable(title), attributes


def _not_values(attributes: dict[str, Any]) -> str | None:
    """Returns the name of the first attribute that is not a list of strings; None if all are."""
    for name, values in attributes.items():
        if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
            return name
    return None


def _unwritable(item_id: str, title: str, attributes: Attributes) -> str | None:
    """Returns the first text that UTF-8 cannot hold; None if there is none."""
    texts = (item_id, title, *attributes, *chain.from_iterable(attributes.values()))
    return next((each for each in texts if not is_writable(each)), None)


def _readable(title: str) -> str:
    """Puts `title` on one line and decodes HTML entities such as `&amp;`."""
    return " ".join(_ENTITY.sub(lambda entity: html.unescape(entity[0]), title).split())


def _read_attributes(table: pd.DataFrame) -> tuple[Attributes, ...]:
    attributes = table.drop(columns=["item_id", "title"])
    columns = {str(name): attributes[name].fillna("").tolist() for name in attributes.columns}
    return tuple(
        {name: values for name in columns if (values := _split_values(columns[name][row]))}
        for row in range(len(table))
    )


def _split_values(text: str) -> tuple[str, ...]:
    return tuple(value.strip() for value in text.split("|") if value.strip())
