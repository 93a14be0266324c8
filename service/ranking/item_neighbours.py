"""Nearest items by the angle between item vectors."""

from collections.abc import Sequence

import numpy as np

from service.ranking.types import Mask, Ranking, Vectors


class ItemVectors:
    """The vectors of all items: the bundle's `[items + 1, hidden]`, then the added ones."""

    def __init__(self, table: Vectors, added: Vectors) -> None:
        self._parts = (table, added)
        norms = [np.linalg.norm(part, axis=1) for part in self._parts]
        self._norms = np.maximum(np.concatenate(norms), np.finfo(np.float32).tiny)

    @property
    def longest_of_bundle(self) -> float:
        """Length of the longest vector of the bundle's items."""
        return float(self._norms[: len(self._parts[0])].max())

    def with_added(self, added: Vectors) -> "ItemVectors":
        """The same with other added items."""
        return ItemVectors(self._parts[0], added)

    def nearest(self, item_indices: Sequence[int], k: int, answerable: Mask) -> Ranking:
        """The `k` answerable items nearest to the given ones: the mean of the cosines."""
        aim = sum(self._vector(index) / self._norms[index] for index in item_indices)
        cosines = np.concatenate([part @ aim for part in self._parts]) / self._norms
        cosines /= len(item_indices)
        candidates = np.flatnonzero(answerable)
        order = np.argsort(-cosines[candidates], kind="stable")[:k]
        best = candidates[order]
        return list(zip(best.tolist(), cosines[best].tolist(), strict=True))

    def _vector(self, item_index: int) -> Vectors:
        table, added = self._parts
        is_of_bundle = item_index < len(table)
        vector: Vectors = table[item_index] if is_of_bundle else added[item_index - len(table)]
        return vector
