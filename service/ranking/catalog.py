"""The items of a bundle and those added at run time: ids, item indices, titles, popularity."""

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
    """The items of a bundle by id, by index (1 is the first, 0 is padding) and by popularity."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.index_by_id = {item.item_id: index for index, item in enumerate(items, start=1)}
        counts = np.array([item.popularity for item in items])
        self.by_popularity = np.argsort(-counts, kind="stable") + 1
        self.titles = [item.title.casefold() for item in items]
        self.attributes = AttributeIndex(items, first_index=1)


class Catalog:
    """All items that can be recommended. Immutable: added items make a new catalog."""

    def __init__(self, bundle_items: BundleItems, added: Sequence[Item] = ()) -> None:
        self._bundle_items = bundle_items
        self._items = [*bundle_items.items, *added]
        first_added = len(bundle_items.items) + 1
        self._index_in_bundle: Mapping[str, int] = bundle_items.index_by_id
        self._index_of_added = {
            item.item_id: index for index, item in enumerate(added, start=first_added)
        }
        # Added items have no popularity: they come last.
        added_indices = np.arange(first_added, first_added + len(added))
        self._by_popularity = np.concatenate([bundle_items.by_popularity, added_indices])
        self._titles = [*bundle_items.titles, *(item.title.casefold() for item in added)]
        indexes = [bundle_items.attributes, AttributeIndex(added, first_added)]
        self.filters = Filters(indexes, mask_length=len(self) + 1)

    def __len__(self) -> int:
        return len(self._items)

    def with_added(self, added: Sequence[Item]) -> "Catalog":
        """The bundle's items with these added ones, which replace those added before."""
        return Catalog(self._bundle_items, added)

    def ids_where(self, mask: Mask) -> Iterator[str]:
        """The ids of the items that `mask` `[items + 1]` allows."""
        return map(_ID, compress(self._items, mask[1:].tolist()))

    def item(self, item_index: int) -> Item:
        """The item with an index; indices start with 1."""
        return self._items[item_index - 1]

    def index(self, item_id: str) -> int | None:
        """The index of an id; None if the catalog lacks the item."""
        return self._index_in_bundle.get(item_id) or self._index_of_added.get(item_id)

    def find(self, item_id: str) -> Item | None:
        """The item with an id; None if the catalog lacks it."""
        item_index = self.index(item_id)
        return self.item(item_index) if item_index else None

    def is_in_bundle(self, item_id: str) -> bool:
        """Whether the item belongs to the bundle, so that the student was trained on it."""
        return item_id in self._index_in_bundle

    def known_indices(self, item_ids: Iterable[str]) -> list[int]:
        """The indices of those ids that the catalog has, in the same order."""
        if self._index_of_added:
            return [index for item_id in item_ids if (index := self.index(item_id))]
        return [index for index in map(self._index_in_bundle.get, item_ids) if index]

    def popular(self, k: int, allowed: Mask) -> list[int]:
        """The `k` most popular allowed items; equal counts in catalog order."""
        found: list[int] = []
        for start in range(0, len(self), _BLOCK_SIZE):
            block = self._by_popularity[start : start + _BLOCK_SIZE]
            found.extend(block[allowed[block]].tolist())
            if len(found) >= k:
                break
        return found[:k]

    def search(self, query: str, limit: int) -> list[Item]:
        """Items whose title contains every word of `query`, most popular first."""
        # The longest word first: fewest titles contain it.
        words = sorted(set(query.casefold().split()), key=len, reverse=True)
        return [self.item(index) for index in islice(self._matching(words), limit)]

    def _matching(self, words: Sequence[str]) -> Iterator[int]:
        for index in self._by_popularity:
            title = self._titles[index - 1]
            if all(word in title for word in words):
                yield int(index)
