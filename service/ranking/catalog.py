"""The catalog: finds items of the bundle and added items by id, index, title and popularity."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress, islice
from operator import attrgetter
from types import MappingProxyType

import numpy as np

from export.contract.bundle import Item
from service.ranking.filters import AttributeIndex, Filters
from service.ranking.types import Mask
from service.stores.items.edits import ItemEdit

_BLOCK_SIZE = 4096
_ID = attrgetter("item_id")


class BundleItems:
    """Look-up tables of a bundle's items, which all catalogs of the bundle share.

    Attributes:
        items: the items in the order of their item indices; the first has index 1.
        index_by_id: item index by item id.
        by_popularity: `[items]`, item indices, most popular first.
        titles: case-folded titles for search, in the order of `items`.
        attributes: item indices by attribute name and value.
        unread_indices: item indices of the items that the student does not read, ascending.
        unread: the indices in `unread_indices`, as a set.
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
    """The items that can be recommended: the bundle's items, then the added items. Immutable.

    Attributes:
        filters: turns filters on attributes into masks.
        hidden: item indices of the hidden items, which are neither recommended nor shown.
        unread: item indices of the items that the student does not read.
        unread_indices: the indices in `unread` as an array, ascending.
    """

    def __init__(
        self,
        bundle_items: BundleItems,
        added: Sequence[Item] = (),
        edits: Mapping[str, ItemEdit] = MappingProxyType({}),
    ) -> None:
        """Joins the items of the bundle and the added items, and applies edits to them.

        `edits`: changes to items of the bundle or added items, by item id.
        """
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
        edit_by_index = {
            index: each for each in edits.values() if (index := self.index(each.item_id))
        }
        for index, edit in edit_by_index.items():
            self._items[index - 1] = item = edit.applied_to(self._items[index - 1])
            self._titles[index - 1] = item.title.casefold()
        self.hidden = frozenset(index for index, edit in edit_by_index.items() if edit.hidden)
        self._hidden_indices = np.array(list(self.hidden), dtype=np.int64)
        indexes = [bundle_items.attributes, AttributeIndex(added, first_added)]
        self.filters = self._filters(indexes, edit_by_index)

    def _filters(
        self, indexes: Sequence[AttributeIndex], edit_by_index: Mapping[int, ItemEdit]
    ) -> Filters:
        mask_length = len(self) + 1
        edited = [index for index, each in edit_by_index.items() if each.attributes is not None]
        if not edited:
            return Filters(indexes, mask_length, hidden=self.hidden)
        is_edited = np.zeros(mask_length, dtype=np.bool_)
        is_edited[edited] = True
        edited_items = AttributeIndex(map(self.item, edited), indices=edited)
        return Filters(indexes, mask_length, edited_items, is_edited, self.hidden)

    def __len__(self) -> int:
        return len(self._items)

    def with_added(
        self, added: Sequence[Item], edits: Mapping[str, ItemEdit] = MappingProxyType({})
    ) -> "Catalog":
        """Returns a new catalog of the bundle's items and `added`, with `edits` by item id.

        The added items and the edits of this catalog are left out.
        """
        return Catalog(self._bundle_items, added, edits)

    def ids_where(self, mask: Mask) -> Iterator[str]:
        """Yields the item ids of the items for which `mask`, `[catalog rows]`, is true."""
        return map(_ID, compress(self._items, mask[1:].tolist()))

    def item(self, item_index: int) -> Item:
        """Returns the item at an item index; the first item has index 1."""
        return self._items[item_index - 1]

    def index(self, item_id: str) -> int | None:
        """Returns the item index of an item id; None if the catalog does not have the item."""
        return self._index_in_bundle.get(item_id) or self._index_of_added.get(item_id)

    def find(self, item_id: str) -> Item | None:
        """Returns the item with an item id; None if the catalog lacks the item or hides it."""
        item_index = self.index(item_id)
        return self.item(item_index) if item_index and item_index not in self.hidden else None

    def is_in_bundle(self, item_id: str) -> bool:
        """Returns whether the bundle has an item with this id; False for added items."""
        return item_id in self._index_in_bundle

    def known_indices(self, item_ids: Iterable[str]) -> list[int]:
        """Returns the item index of each known id, in the order of `item_ids`; skips the others."""
        if self._index_of_added:
            return [index for item_id in item_ids if (index := self.index(item_id))]
        return list(filter(None, map(self._index_in_bundle.get, item_ids)))

    def mask_of(self, item_ids: Iterable[str]) -> Mask:
        """Returns a mask `[catalog rows]` that is true for the items with these ids.

        Unknown ids and hidden items are left out.
        """
        mask = np.zeros(len(self) + 1, dtype=np.bool_)
        mask[self.known_indices(item_ids)] = True
        mask[self._hidden_indices] = False
        return mask

    def divided(self, history: list[int]) -> tuple[list[int], Sequence[int]]:
        """Splits the item indices of a history into those that the student reads and the others.

        Both parts are in the order of the history.
        """
        if not self.unread:
            return history, ()
        read = [index for index in history if index not in self.unread]
        return read, [index for index in history if index in self.unread]

    def popular(self, k: int, allowed: Mask) -> list[int]:
        """Returns the item indices of the `k` most popular allowed items, most popular first.

        Items of equal popularity are in catalog order. `allowed` is a mask `[catalog rows]`.
        Returns fewer than `k` indices if the mask allows fewer items.
        """
        found: list[int] = []
        for start in range(0, len(self), _BLOCK_SIZE):
            block = self._by_popularity[start : start + _BLOCK_SIZE]
            found.extend(block[allowed[block]].tolist())
            if len(found) >= k:
                break
        return found[:k]

    def search(self, query: str, limit: int) -> list[Item]:
        """Returns up to `limit` items whose titles contain every word of `query`.

        A word also matches as a part of a longer word, and in upper or lower case. The most popular
        items come first.
        """
        # The longest word is looked for first, because fewest titles contain it.
        words = sorted(set(query.casefold().split()), key=len, reverse=True)
        return [self.item(index) for index in islice(self._matching(words), limit)]

    def _matching(self, words: Sequence[str]) -> Iterator[int]:
        for index in self._by_popularity:
            title = self._titles[index - 1]
            if index not in self.hidden and all(word in title for word in words):
                yield int(index)
