"""The items of a bundle: `item_id` (the shop's) to `item_index` (the graph's), and their titles."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice

from export.bundle import Item


class Catalog:
    """Items by id, by index (1 is the first, 0 is padding) and by popularity."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = items
        self._index_by_id = {item.item_id: index for index, item in enumerate(items, start=1)}
        self._by_popularity = sorted(
            range(1, len(items) + 1), key=lambda index: -items[index - 1].popularity
        )
        self._titles = [item.title.casefold() for item in items]

    def __len__(self) -> int:
        return len(self._items)

    def item(self, item_index: int) -> Item:
        """The item of an index."""
        return self._items[item_index - 1]

    def find(self, item_id: str) -> Item | None:
        """The item of an id; None if the catalog has none."""
        item_index = self._index_by_id.get(item_id)
        return self.item(item_index) if item_index else None

    def known_indices(self, item_ids: Iterable[str]) -> list[int]:
        """The indices of those ids that the catalog has, in their order."""
        index_by_id = self._index_by_id
        return [index_by_id[item_id] for item_id in item_ids if item_id in index_by_id]

    def popular(self, k: int, *, without: Collection[int]) -> list[int]:
        """The `k` most popular items that are not in `without`."""
        left = (index for index in self._by_popularity if index not in without)
        return list(islice(left, k))

    def search(self, query: str, limit: int) -> list[Item]:
        """Items whose title holds every word of `query`, most popular first."""
        words = query.casefold().split()
        return [self.item(index) for index in islice(self._matching(words), limit)]

    def _matching(self, words: Sequence[str]) -> Iterator[int]:
        for index in self._by_popularity:
            title = self._titles[index - 1]
            if all(word in title for word in words):
                yield index
