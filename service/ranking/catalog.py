"""The catalog: finds items of the bundle and added items by id, index, title and popularity."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from itertools import islice
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from export.contract.bundle import Item
from service.ranking.filters import Filters
from service.ranking.lookup.bundle_items import BundleItems
from service.ranking.lookup.places import with_places
from service.ranking.types import HiddenItems, Mask
from service.stores.items.edits import ItemEdit
from service.stores.items.protocol import change

NO_EDITS: Mapping[str, ItemEdit | None] = MappingProxyType({})

_BLOCK_SIZE = 4096


class AddedOrder:
    """The added items of a catalog, in the order of their item indices. Immutable.

    Attributes:
        first_index: item index of the first added item; the next items have the next indices.
        items: the added items as they were added, without edits.
        touched: item indices at which `with_changes` has put another item, or no item any more.
    """

    def __init__(
        self,
        first_index: int,
        items: Sequence[Item] = (),
        index_by_id: Mapping[str, int] = MappingProxyType({}),
        touched: Collection[int] = (),
    ) -> None:
        self.first_index = first_index
        self.items = items
        self.touched = touched
        self._index_by_id = index_by_id

    def __len__(self) -> int:
        return len(self.items)

    def index(self, item_id: str) -> int | None:
        """Returns the item index of an added item; None if there is no added item with this id."""
        return self._index_by_id.get(item_id)

    def rows_in(self, before: "AddedOrder") -> NDArray[np.int64]:
        """Returns the row in `before` of each item, `[added]`; -1 for new items.

        `before`: the order that `with_changes` has made this one from.
        """
        rows = np.arange(len(self))
        for row in (index - self.first_index for index in self.touched):
            if row < len(self):
                index = before.index(self.items[row].item_id)
                rows[row] = -1 if index is None else index - self.first_index
        return rows

    def with_changes(self, changes: Mapping[str, Item | None]) -> "AddedOrder":
        """Returns the order after `changes`.

        The last item takes the index of a removed one, so that no others move.

        `changes`: the new and the replaced items by item id; None for an item that is removed.
        """
        if not any(each or item_id in self._index_by_id for item_id, each in changes.items()):
            return AddedOrder(self.first_index, self.items, self._index_by_id)
        items, index_by_id, touched = list(self.items), dict(self._index_by_id), set[int]()
        for item_id, item in changes.items():
            index = index_by_id.get(item_id)
            if item is None:
                if index is not None:
                    touched |= {index, self._remove(items, index_by_id, item_id)}
                continue
            if index is None:
                index = index_by_id[item_id] = self.first_index + len(items)
                items.append(item)
            items[index - self.first_index] = item
            touched.add(index)
        return AddedOrder(self.first_index, items, index_by_id, touched)

    def _remove(self, items: list[Item], index_by_id: dict[str, int], item_id: str) -> int:
        """Removes an item in place; returns the index of the last item, which takes its index."""
        last, last_index = items.pop(), self.first_index + len(items)
        index = index_by_id.pop(item_id)
        if index != last_index:
            items[index - self.first_index] = last
            index_by_id[last.item_id] = index
        return last_index


class Catalog:
    """The items that can be recommended: the bundle's items, then the added items. Immutable.

    Attributes:
        added: the added items, without edits.
        filters: turns filters on attributes into masks.
        hidden: item indices of the hidden items, which are neither recommended nor shown.
        unread: item indices of the items that the student does not read.
        unread_indices: the indices in `unread` as an array, ascending.
    """

    def __init__(self, bundle_items: BundleItems) -> None:
        """Makes the catalog of the bundle's items, without added items and edits."""
        self._bundle_items = bundle_items
        self._index_in_bundle = bundle_items.index_of
        self._indices_in_bundle = bundle_items.indices_of
        self.unread, self.unread_indices = bundle_items.unread, bundle_items.unread_indices
        self._items: Sequence[Item] = bundle_items.items
        self._titles = bundle_items.titles
        self.added = AddedOrder(len(bundle_items.items) + 1)
        self._edits: Mapping[str, ItemEdit] = {}
        self._attributes = bundle_items.attributes
        self.hidden = HiddenItems(bytes(len(self) + 1))
        self.filters = Filters(self._attributes, len(self) + 1)

    def __len__(self) -> int:
        return len(self._items)

    def with_changes(
        self, added: Mapping[str, Item | None], edits: Mapping[str, ItemEdit | None] = NO_EDITS
    ) -> "Catalog":
        """Returns a catalog with changes of added items and of edits.

        Only the changed items are read again. Lists and arrays of all items are copied, which takes
        milliseconds for hundreds of thousands of items. An edit of an unknown item is kept, and
        holds as soon as the item is added.

        Args:
            added: the new and the replaced added items by item id; None for those that are removed.
            edits: the new and the replaced edits by item id; None for those that are removed.
        """
        order = self.added.with_changes(added)
        if not order.touched and not edits:
            return self
        catalog = copy(self)
        catalog.added = order
        if edits:
            catalog._edits = dict(self._edits)
            change(catalog._edits, edits)
        edited = filter(None, map(catalog.index, edits))
        catalog._change(self, {*order.touched, *edited})
        return catalog

    def _change(self, before: "Catalog", touched: set[int]) -> None:
        """Brings this copy of `before` up to date: the items at the indices `touched` are others.

        `added` and the edits of this copy must be those that shall hold.
        """
        num_items = self.added.first_index - 1 + len(self.added)
        old = {index: before.item(index) for index in touched if index <= len(before)}
        new = {index: self._edited(index) for index in touched if index <= num_items}
        self._items = with_places(before._items, num_items, new)
        titles = {index: item.title.casefold() for index, item in new.items()}
        self._titles = before._titles.with_changes(num_items, titles)
        are_hidden = {index: self._is_hidden(item.item_id) for index, item in new.items()}
        self.hidden = before.hidden.with_changes(num_items + 1, are_hidden)
        rows = 1 + max(num_items, len(before))
        self._attributes = before._attributes.with_changes(old, new, rows)
        names = self._bundle_items.attributes.names
        hidden = self.hidden.mask if self.hidden else None
        self.filters = Filters(self._attributes, num_items + 1, hidden, names)

    def _edited(self, index: int) -> Item:
        """Returns the item at an index, from the bundle or added, with its edit if it has one."""
        place = index - self.added.first_index
        item = self.added.items[place] if place >= 0 else self._bundle_items.items[index - 1]
        edit = self._edits.get(item.item_id)
        return edit.applied_to(item) if edit else item

    def _is_hidden(self, item_id: str) -> bool:
        edit = self._edits.get(item_id)
        return edit is not None and edit.hidden

    def ids_where(self, mask: Mask) -> Iterator[str]:
        """Yields the item ids of the items for which `mask`, `[catalog rows]`, is true."""
        return (self._items[row].item_id for row in np.flatnonzero(mask[1:]).tolist())

    def item(self, item_index: int) -> Item:
        """Returns the item at an item index; the first item has index 1."""
        return self._items[item_index - 1]

    def index(self, item_id: str) -> int | None:
        """Returns the item index of an item id; None if the catalog does not have the item."""
        return self._index_in_bundle(item_id) or self.added.index(item_id)

    def find(self, item_id: str) -> Item | None:
        """Returns the item with an item id; None if the catalog lacks the item or hides it."""
        item_index = self.index(item_id)
        return self.item(item_index) if item_index and item_index not in self.hidden else None

    def is_in_bundle(self, item_id: str) -> bool:
        """Returns whether the bundle has an item with this id; False for added items."""
        return self._index_in_bundle(item_id) is not None

    def known_indices(self, item_ids: Iterable[str]) -> list[int]:
        """Returns the item index of each known id, in the order of `item_ids`; skips the others."""
        if not self.added.items:
            return list(filter(None, self._indices_in_bundle(item_ids)))
        ids = list(item_ids)
        pairs = zip(ids, self._indices_in_bundle(ids), strict=True)
        return [index for each, place in pairs if (index := place or self.added.index(each))]

    def mask_of(self, item_ids: Iterable[str]) -> Mask:
        """Returns a mask `[catalog rows]` that is true for the items with these ids.

        Unknown ids and hidden items are left out.
        """
        mask = np.zeros(len(self) + 1, dtype=np.bool_)
        mask[self.known_indices(item_ids)] = True
        if self.hidden:
            mask &= ~self.hidden.mask
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
        # Added items come last, because they have no interactions in the training data.
        added = np.arange(self.added.first_index, len(self) + 1)
        for order in (self._bundle_items.by_popularity, added):
            for start in range(0, len(order), _BLOCK_SIZE):
                block = order[start : start + _BLOCK_SIZE]
                found.extend(block[allowed[block]].tolist())
                if len(found) >= k:
                    return found[:k]
        return found

    def search(self, query: str, limit: int) -> list[Item]:
        """Returns up to `limit` items whose titles contain every word of `query`.

        A word also matches as a part of a longer word, and in upper or lower case. The most popular
        items come first.
        """
        # The longest word is looked for first, because fewest titles contain it.
        words = sorted(set(query.casefold().split()), key=len, reverse=True)
        return [self.item(index) for index in islice(self._matching(words), limit)]

    def _matching(self, words: Sequence[str]) -> Iterator[int]:
        found = self._titles.matching(words)
        return (index for index in found if index not in self.hidden)
