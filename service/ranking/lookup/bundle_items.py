"""Look-up tables of a bundle's items, which all catalogs of the bundle share."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from export.contract.bundle import BundleError, Item
from export.contract.columns.layout import Columns
from export.contract.columns.mapped_items import MappedItems
from export.contract.records import parse
from service.ranking.filters import AttributeIndex
from service.ranking.lookup.ids import MappedIds
from service.ranking.lookup.places import Places
from service.ranking.lookup.titles import ListedTitles, MappedTitles, Titles


class BundleItems:
    """The tables. Those of `MappedItems` are views of its columns.

    Attributes:
        items: the items in the order of their item indices; the first has index 1.
        index_of: function that returns the item index of an item id, or None.
        indices_of: the same for several ids, in their order.
        by_popularity: `[items]`, item indices, most popular first.
        titles: titles for search.
        attributes: item indices by attribute name and value.
        unread_indices: item indices of the items that the student does not read, ascending.
        unread: the indices in `unread_indices`, as a set.
    """

    items: Sequence[Item]
    index_of: Callable[[str], int | None]
    indices_of: Callable[[Iterable[str]], Iterable[int | None]]
    by_popularity: NDArray[np.integer]
    titles: Titles
    attributes: AttributeIndex
    unread_indices: NDArray[np.integer]

    def __init__(self, items: Sequence[Item]) -> None:
        """Makes the tables of `items`.

        Raises:
            BundleError: the columns of mapped items are damaged.
        """
        if isinstance(items, MappedItems):
            self._view(items)
        else:
            self._make(items)
        self.unread = frozenset(self.unread_indices.tolist())

    def _make(self, items: Sequence[Item]) -> None:
        self.items = items
        self.index_of = {item.item_id: index for index, item in enumerate(items, start=1)}.get
        self.indices_of = partial(map, self.index_of)
        counts = np.array([item.popularity for item in items])
        self.by_popularity = np.argsort(-counts, kind="stable") + 1
        titles = [item.title.casefold() for item in items]
        self.titles = ListedTitles(titles, self.by_popularity)
        self.attributes = AttributeIndex.of_items(enumerate(items, start=1))
        self.unread_indices = np.flatnonzero([not item.is_read for item in items]) + 1

    def _view(self, items: MappedItems) -> None:
        columns = items.columns
        self.items = Places(items)
        self.index_of = items.index_of
        self.indices_of = MappedIds(items).indices
        self.by_popularity = _indices(columns, "by_popularity", len(items))
        self.titles = MappedTitles(columns, items)
        self.attributes = AttributeIndex(_by_value(columns, len(items)))
        self.unread_indices = _indices(columns, "unread", len(items))


def _indices(columns: Columns, name: str, num_items: int) -> NDArray[np.uint32]:
    indices = np.frombuffer(columns[name], dtype=np.uint32)
    if len(indices) and not 1 <= indices.min() <= indices.max() <= num_items:
        raise BundleError(f"the column {name} of the items has an index that no item has")
    return indices


def _by_value(columns: Columns, num_items: int) -> Mapping[str, Mapping[str, NDArray[np.uint32]]]:
    """Returns the item indices by attribute name and value."""
    postings, begin = _indices(columns, "postings", num_items), 0
    found: dict[str, dict[str, NDArray[np.uint32]]] = {}
    column = "the column values of the items"
    try:
        for name, value, number in parse(column, bytes(columns["values"])):
            found.setdefault(name, {})[value] = postings[begin : begin + number]
            begin += number
    except (TypeError, ValueError):
        raise BundleError(f"{column} does not list names, values and numbers") from None
    if begin != len(postings):
        raise BundleError(f"{column} counts {begin} of {len(postings)} postings")
    return found
