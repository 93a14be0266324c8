"""Finds items by the words of their titles, most popular items first."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from heapq import merge
from types import MappingProxyType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from export.contract.bundle import Item
from export.contract.columns.layout import Columns, release
from service.ranking.lookup.places import with_places

_BLOCK_SIZE = 2**20  # bytes of titles that are searched at once
_BLOCKS_KEPT = 64  # that stay in memory


class Titles(Protocol):
    """The case-folded titles of a catalog. Immutable."""

    def matching(self, words: Sequence[str]) -> Iterator[int]:
        """Yields the item indices of the titles that contain all `words`, most popular first.

        Items of equal popularity are in index order; added items come last.
        """

    def with_changes(self, num_items: int, titles: Mapping[int, str]) -> Self:
        """Returns the titles of a catalog of `num_items` items; `titles`: changes by item index."""


class ListedTitles:
    """Titles in a list."""

    def __init__(self, titles: Sequence[str], by_popularity: NDArray[np.integer]) -> None:
        """Stores the titles.

        Args:
            titles: the case-folded titles, by item index from 1.
            by_popularity: `[items of the bundle]`, their item indices, most popular first.
        """
        self._titles = titles
        self._by_popularity = by_popularity

    def matching(self, words: Sequence[str]) -> Iterator[int]:
        """Implements `Titles.matching`."""
        added = range(len(self._by_popularity) + 1, len(self._titles) + 1)
        for indices in (map(int, self._by_popularity), added):
            for index in indices:
                title = self._titles[index - 1]
                if all(word in title for word in words):
                    yield index

    def with_changes(self, num_items: int, titles: Mapping[int, str]) -> "ListedTitles":
        """Implements `Titles.with_changes`."""
        changed = with_places(self._titles, num_items, titles)
        return ListedTitles(changed, self._by_popularity)


class MappedTitles:
    """Titles in the columns of a large catalog, and changes."""

    def __init__(
        self,
        columns: Columns,
        items: Sequence[Item],
        changed: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        """Stores the titles.

        Args:
            columns: the columns of `items`.
            items: the items of the bundle.
            changed: case-folded titles of changed and of added items, by item index.
        """
        self._columns = columns
        self._items = items
        self._changed = changed

    def matching(self, words: Sequence[str]) -> Iterator[int]:
        """Implements `Titles.matching`."""
        changed = [
            index for index, title in self._changed.items() if all(word in title for word in words)
        ]
        of_bundle = self._of_bundle([word.encode() for word in words])
        if not self._changed:
            return of_bundle
        unchanged = (index for index in of_bundle if index not in self._changed)
        return merge(unchanged, sorted(changed, key=self._place), key=self._place)

    def with_changes(self, num_items: int, titles: Mapping[int, str]) -> "MappedTitles":
        """Implements `Titles.with_changes`."""
        both = {**self._changed, **titles}
        kept = {index: title for index, title in both.items() if index <= num_items}
        return MappedTitles(self._columns, self._items, kept)

    def _place(self, index: int) -> tuple[int, int, int]:
        """Returns the place of an item by popularity; added items come last."""
        if index > len(self._items):
            return 1, 0, index
        return 0, -self._items[index - 1].popularity, index

    def _of_bundle(self, words: Sequence[bytes]) -> Iterator[int]:
        titles, starts = self._columns["titles"], self._columns["title_starts"]
        by_popularity, first = self._columns["by_popularity"], words[0] if words else b""
        for number, (begin, end) in enumerate(self._blocks()):
            if number % _BLOCKS_KEPT == _BLOCKS_KEPT - 1:
                release(titles)
            text, place = bytes(titles[begin:end]), 0
            while (found := text.find(first, place)) >= 0 and begin + found < end:
                rank = bisect_right(starts, begin + found) - 1
                past = starts[rank + 1] - begin
                title = text[starts[rank] - begin : past]
                if all(word in title for word in words):
                    yield by_popularity[rank]
                place = past

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """Yields begin and end of blocks of whole titles."""
        starts, rank = self._columns["title_starts"], 0
        while rank < len(starts) - 1:
            past = max(rank + 1, bisect_right(starts, starts[rank] + _BLOCK_SIZE) - 1)
            yield starts[rank], starts[past]
            rank = past
