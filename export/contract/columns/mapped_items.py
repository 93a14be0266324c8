"""`MappedItems`: the items of a large catalog, read from files when they are asked for."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import overload

from export.contract.columns.layout import HASH_PARTS, Columns, hash_of
from export.contract.items import Item, parse_item
from export.contract.reading import OpenFile
from export.contract.records import BundleError

_MAX_PARSED = 16_384  # each item takes about a kilobyte
_MAX_INDICES = 65_536


class MappedItems(Sequence[Item]):
    """The items of a bundle, in the order of their item indices. Thread-safe.

    An item is parsed when it is read, and those read last are kept. The columns are mapped, so
    processes share their pages; the lines are read, since a process that has shown many items would
    come to hold them all. To read an item raises BundleError if its line is not one, because the
    columns are damaged.

    Attributes:
        columns: the columns of the items, as `layout` describes them.
    """

    def __init__(self, path: Path, lines: OpenFile, columns: Columns) -> None:
        """Prepares the reading.

        Args:
            path: path of `items.jsonl`, for error messages.
            lines: the open file at `path`.
            columns: the columns that `writing` made from it.
        """
        self.columns = columns
        # The caches must not refer to this object: a cycle would keep the files mapped.
        self._parse = partial(_parse, path, lines, columns["starts"])
        self._parsed = lru_cache(_MAX_PARSED)(self._parse)
        self._index_of = lru_cache(_MAX_INDICES)(partial(_index_of, columns))

    def index_of(self, item_id: str) -> int | None:
        """Returns the item index of an id, from 1; None if no item has it. Reads no line."""
        return self._index_of(item_id)

    def __len__(self) -> int:
        return len(self.columns["hashes"])

    def __iter__(self) -> Iterator[Item]:
        return map(self._parse, range(len(self)))

    @overload
    def __getitem__(self, row: int) -> Item: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[Item]: ...
    def __getitem__(self, row: int | slice) -> Item | Sequence[Item]:
        if isinstance(row, slice):
            return tuple(map(self._parse, range(*row.indices(len(self)))))
        place = row + len(self) if row < 0 else row
        if not 0 <= place < len(self):
            raise IndexError(f"item {row} of {len(self)}")
        return self._parsed(place)


def _parse(path: Path, lines: OpenFile, starts: memoryview, row: int) -> Item:
    line = lines[starts[row] : starts[row + 1]]
    return parse_item(f"{path}: line {row + 1}", line.removesuffix(b"\n"))


def _index_of(columns: Columns, item_id: str) -> int | None:
    try:
        first, check = HASH_PARTS.unpack(hash_of(item_id))
    except UnicodeEncodeError:  # no item has such an id
        return None
    hashes, checks, by_hash = columns["hashes"], columns["checks"], columns["items_by_hash"]
    place = bisect_left(hashes, first)
    while place < len(hashes) and hashes[place] == first:
        if checks[place] == check:
            index = by_hash[place]
            if not 1 <= index <= len(hashes):
                raise BundleError(f"the columns of the items name item {index}")
            return index
        place += 1
    return None
