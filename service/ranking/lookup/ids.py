"""Finds the item indices of many ids in a large catalog at once."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from export.contract.columns.layout import hash_of
from export.contract.columns.mapped_items import MappedItems

MANY = 64  # fewer are found one by one, because those asked for last are kept
HASHES = np.dtype([("first", "<u4"), ("check", "<u8")])  # as `HASH_PARTS`


class MappedIds:
    """The ids of mapped items. Thread-safe."""

    def __init__(self, items: MappedItems) -> None:
        """Prepares the look-up in `items`."""
        self._items = items
        self._hashes, self._checks, self._by_hash = (
            np.asarray(items.columns[name]) for name in ("hashes", "checks", "items_by_hash")
        )

    def indices(self, item_ids: Iterable[str]) -> list[int | None]:
        """Returns the item index of each id, from 1; None for an id that no item has.

        Raises:
            BundleError: the columns are damaged.
        """
        ids = list(item_ids)
        if len(ids) < MANY:
            return list(map(self._items.index_of, ids))
        try:
            wanted = np.frombuffer(b"".join(map(hash_of, ids)), dtype=HASHES)
        except UnicodeEncodeError:  # no item has such an id
            return list(map(self._items.index_of, ids))
        guesses = self._guesses(wanted)
        return [
            guess if guess > 0 else self._items.index_of(each) if guess else None
            for each, guess in zip(ids, guesses.tolist(), strict=True)
        ]

    def _guesses(self, wanted: NDArray[np.void]) -> NDArray[np.int64]:
        """Returns the item index of each hash: 0 if no item has it, -1 if the next may have it."""
        order = np.argsort(wanted["first"])  # neighbours are read one after the other
        places = np.empty_like(order)
        places[order] = np.searchsorted(self._hashes, wanted["first"][order])
        places = np.minimum(places, len(self._hashes) - 1)
        are_near = self._hashes[places] == wanted["first"]
        indices = self._by_hash[places].astype(np.int64)
        are_items = (indices >= 1) & (indices <= len(self._hashes))
        are_found = are_near & (self._checks[places] == wanted["check"]) & are_items
        return np.where(are_found, indices, -are_near.astype(np.int64))
