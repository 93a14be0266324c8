"""The catalog: items of the bundle and added items, by id, item index, title and popularity."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress, islice
from operator import attrgetter

import numpy as np

from export.contract.bundle import Item
from service.ranking.filters import AttributeIndex, Filters
from service.ranking.types import Mask

_BLOCK_SIZE = 4096
_ID = attrgetter("item_id")


class BundleItems:
    """Look-up tables of a bundle's items, which all catalogs of the bundle share.

    Attributes:
        items: the items in the order of their indices.
        index_by_id: item index by item id; the first item has index 1, since 0 is padding.
        by_popularity: `[items]`, item indices, most popular first.
        titles: titles in lower case, for search.
        attributes: item indices by attribute value.
        unread_indices: indices of the items that the student does not read, ascending.
        unread: the same as a set.
    """

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.index_by_id = {item.item_id: index for index, item in enumerate(items, start=1)}
        counts = np.array([item.popularity for item in items])
        self.by_popularity = np.argsort(-counts, kind="stable") + 1
        self.titles = [item.title.casefold() for item in items]
        self.attributes = AttributeIndex(items, first_index=1)
        self.unread_indices = np.flatnonzero([not item.is_read for item in items]) + 1
        self.unread = frozenset(self.unread_indices.tolist())


class Catalog:
    """All items that can be recommended. Immutable: `with_added` makes a new catalog."""

    def __init__(self, bundle_items: BundleItems, added: Sequence[Item] = ()) -> None:
        self._bundle_items = bundle_items
        self._items = [*bundle_items.items, *added]
        first_added = len(bundle_items.items) + 1
        self._index_in_bundle: Mapping[str, int] = bundle_items.index_by_id
        self._index_of_added = {
            item.item_id: index for index, item in enumerate(added, start=first_added)
        }
        self.unread, self.unread_indices = bundle_items.unread, bundle_items.unread_indices
        # Added items come last, because they have no interactions in the training data.
        added_indices = np.arange(first_added, first_added + len(added))
        self._by_popularity = np.concatenate([bundle_items.by_popularity, added_indices])
        self._titles = [*bundle_items.titles, *(item.title.casefold() for item in added)]
        indexes = [bundle_items.attributes, AttributeIndex(added, first_added)]
        self.filters = Filters(indexes, mask_length=len(self) + 1)

    def __len__(self) -> int:
        return len(self._items)

    def with_added(self, added: Sequence[Item]) -> "Catalog":
        """Returns a catalog of the bundle's items and `added`, without the previously added."""
        return Catalog(self._bundle_items, added)

    def ids_where(self, mask: Mask) -> Iterator[str]:
        """Yields the ids of the items for which `mask` `[items + 1]` is true."""
        return map(_ID, compress(self._items, mask[1:].tolist()))

    def item(self, item_index: int) -> Item:
        """Returns the item of an index; indices start at 1."""
        return self._items[item_index - 1]

    def index(self, item_id: str) -> int | None:
        """Returns the item index of an id; None if the catalog does not have the item."""
        return self._index_in_bundle.get(item_id) or self._index_of_added.get(item_id)

    def find(self, item_id: str) -> Item | None:
        """Returns the item with an id; None if the catalog does not have it."""
        item_index = self.index(item_id)
        return self.item(item_index) if item_index else None

    def is_in_bundle(self, item_id: str) -> bool:
        """Returns whether the item belongs to the bundle, and was not added at run time."""
        return item_id in self._index_in_bundle

    def known_indices(self, item_ids: Iterable[str]) -> list[int]:
        """Returns the item indices of the ids that the catalog has, in the same order."""
        if self._index_of_added:
            return [index for item_id in item_ids if (index := self.index(item_id))]
        return [index for index in map(self._index_in_bundle.get, item_ids) if index]

    def divided(self, history: list[int]) -> tuple[list[int], Sequence[int]]:
        """Splits the item indices of a history: those that the student reads, and the others."""
        if not self.unread:
            return history, ()
        read = [index for index in history if index not in self.unread]
        return read, [index for index in history if index in self.unread]

    def popular(self, k: int, allowed: Mask) -> list[int]:
        """Returns the indices of the `k` most popular allowed items, most popular first.

        Items of equal popularity are in catalog order. `allowed` is a mask `[items + 1]`.
        """
        found: list[int] = []
        for start in range(0, len(self), _BLOCK_SIZE):
            block = self._by_popularity[start : start + _BLOCK_SIZE]
            found.extend(block[allowed[block]].tolist())
            if len(found) >= k:
                break
        return found[:k]

    def search(self, query: str, limit: int) -> list[Item]:
        """Returns up to `limit` items whose title contains every word of `query`.

        Upper and lower case are the same. The most popular items come first.
        """
        # The longest word is looked for first, because fewest titles contain it.
        words = sorted(set(query.casefold().split()), key=len, reverse=True)
        return [self.item(index) for index in islice(self._matching(words), limit)]

    def _matching(self, words: Sequence[str]) -> Iterator[int]:
        for index in self._by_popularity:
            title = self._titles[index - 1]
            if all(word in title for word in words):
                yield int(index)
