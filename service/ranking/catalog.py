"""The items of a bundle and those added since: ids to the graph's indices, titles, popularity."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress, islice
from operator import attrgetter

import numpy as np

from export.contract.bundle import Item
from service.ranking.filters import AttributeIndex, Filters
from service.ranking.types import Mask

_BLOCK = 4096
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
    """All items that can be recommended; never changes, an addition makes another catalog."""

    def __init__(self, of_bundle: BundleItems, added: Sequence[Item] = ()) -> None:
        self._of_bundle = of_bundle
        self._items = [*of_bundle.items, *added]
        first_added = len(of_bundle.items) + 1
        self._index_of_bundle: Mapping[str, int] = of_bundle.index_by_id
        self._index_of_added = {
            item.item_id: index for index, item in enumerate(added, start=first_added)
        }
        # Added items have no popularity: they come last.
        places_of_added = np.arange(first_added, first_added + len(added))
        self._by_popularity = np.concatenate([of_bundle.by_popularity, places_of_added])
        self._titles = [*of_bundle.titles, *(item.title.casefold() for item in added)]
        indexes = [of_bundle.attributes, AttributeIndex(added, first_added)]
        self.filters = Filters(indexes, num_places=len(self) + 1)

    def __len__(self) -> int:
        return len(self._items)

    def with_added(self, added: Sequence[Item]) -> "Catalog":
        """The bundle's items with these, and no others, beside them."""
        return Catalog(self._of_bundle, added)

    def ids_where(self, mask: Mask) -> Iterator[str]:
        """The ids of the items whose index `mask` `[items + 1]` names."""
        return map(_ID, compress(self._items, mask[1:].tolist()))

    def item(self, item_index: int) -> Item:
        """The item of an index."""
        return self._items[item_index - 1]

    def index(self, item_id: str) -> int | None:
        """The index of an id; None if the catalog has none."""
        return self._index_of_bundle.get(item_id) or self._index_of_added.get(item_id)

    def find(self, item_id: str) -> Item | None:
        """The item of an id; None if the catalog has none."""
        item_index = self.index(item_id)
        return self.item(item_index) if item_index else None

    def is_of_bundle(self, item_id: str) -> bool:
        """Whether the student was trained on the item."""
        return item_id in self._index_of_bundle

    def known_indices(self, item_ids: Iterable[str]) -> list[int]:
        """The indices of those ids that the catalog has, in their order."""
        if self._index_of_added:
            return [index for item_id in item_ids if (index := self.index(item_id))]
        return [index for index in map(self._index_of_bundle.get, item_ids) if index]

    def popular(self, k: int, answerable: Mask) -> list[int]:
        """The `k` most popular of the `answerable` items; equal counts in catalog order."""
        found: list[int] = []
        for start in range(0, len(self), _BLOCK):
            block = self._by_popularity[start : start + _BLOCK]
            found.extend(block[answerable[block]].tolist())
            if len(found) >= k:
                break
        return found[:k]

    def search(self, query: str, limit: int) -> list[Item]:
        """Items whose title holds every word of `query`, most popular first."""
        # Each once, and the longest first: fewest titles hold it.
        words = sorted(set(query.casefold().split()), key=len, reverse=True)
        return [self.item(index) for index in islice(self._matching(words), limit)]

    def _matching(self, words: Sequence[str]) -> Iterator[int]:
        for index in self._by_popularity:
            title = self._titles[index - 1]
            if all(word in title for word in words):
                yield int(index)
