"""Makes a recommender of a large catalog and its queries in item ids, as a service has them.

The ids, titles and attributes of the items are made; they lie in the files of a bundle.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from export.contract.bundle import Bundle, Item
from export.contract.columns.layout import open_columns
from export.contract.columns.mapped_items import MappedItems
from export.contract.columns.writing import write_columns
from export.contract.items import line_of
from export.contract.reading import map_file, open_verified, sha256_of
from service.ranking.catalog import Catalog
from service.ranking.item_neighbours import ItemVectors
from service.ranking.lookup.bundle_items import BundleItems
from service.ranking.recommender import Query, Recommender
from service.ranking.student import Student
from service.ranking.types import IndexQuery, Vectors

ATTRIBUTE = "group"
NUM_GROUPS = 1_000  # one of them has 0.1 % of the items
GROUP = "7"


@dataclass(frozen=True)
class Asked:
    """Queries of one kind, in item ids and in item indices, and the recommender that is asked."""

    recommender: Recommender
    queries: Sequence[Query]
    index_queries: Sequence[IndexQuery]


def shop_of(student: Student, num_items: int, bundle: Bundle, folder: Path) -> Recommender:
    """Returns a recommender of made items, whose files are written to `folder`.

    `bundle`: lends its manifest, which no query reads.
    """
    lines, columns = folder / "items.jsonl", folder / "item_columns.safetensors"
    with lines.open("w", encoding="utf-8") as file:
        for index in range(1, num_items + 1):
            file.write(json.dumps(line_of(_item(index))) + "\n")
    write_columns(lines, columns)
    size = lines.stat().st_size
    content = map_file(columns, columns.stat().st_size)
    text = open_verified(lines, size, sha256_of(lines, size))
    items = MappedItems(lines, text, open_columns(columns, content, num_items))
    catalog, vectors = Catalog(BundleItems(items)), ItemVectors(student.table(), student.added)
    return Recommender(replace(bundle, items=items), catalog, student, vectors)


def with_added(shop: Recommender, vectors: Vectors) -> Recommender:
    """Returns the recommender with made items added, one for each of `vectors`."""
    first = len(shop.catalog) + 1
    items = {each.item_id: each for each in map(_item, range(first, first + len(vectors)))}
    catalog, student = shop.catalog.with_changes(items), shop.student.with_added(vectors)
    return Recommender(shop.bundle, catalog, student, shop.vectors.with_added(student.added))


def asked(shop: Recommender, queries: Sequence[IndexQuery]) -> Asked:
    """Returns the queries in item ids, too."""
    ids = [Query(ids_of(each.history), each.k, ids_of(each.excluded)) for each in queries]
    return Asked(shop, ids, queries)


def in_a_group(shop: Recommender, queries: Sequence[IndexQuery]) -> Asked:
    """Returns the queries with a filter that leaves the items of one group."""
    wanted = {ATTRIBUTE: [GROUP]}
    mask = shop.catalog.filters.mask(wanted, {})
    ids = [Query(ids_of(each.history), each.k, allow=wanted) for each in queries]
    return Asked(shop, ids, [replace(each, allowed=mask) for each in queries])


def ids_of(indices: Iterable[int]) -> list[str]:
    """Returns the ids of items by their item indices."""
    return [f"B{index:09d}" for index in indices]


def _item(index: int) -> Item:
    (item_id,) = ids_of([index])
    return Item(item_id, f"item {index:,}", attributes={ATTRIBUTE: [str(index % NUM_GROUPS)]})
