"""Nearest neighbours among items, by the cosine of item vectors."""

from collections.abc import Sequence

import numpy as np

from service.ranking.types import Mask, Ranking, Vectors


class ItemVectors:
    """The vectors of all items, by item index."""

    def __init__(self, table: Vectors, added: Vectors) -> None:
        """Joins two arrays of vectors.

        Args:
            table: vectors of the bundle's items, `[items + 1, hidden]`.
            added: vectors of the added items, `[added, hidden]`.
        """
        self._parts = (table, added)
        norms = [np.linalg.norm(part, axis=1) for part in self._parts]
        self._norms = np.maximum(np.concatenate(norms), np.finfo(np.float32).tiny)

    @property
    def max_norm_in_bundle(self) -> float:
        """The length of the longest vector of the bundle's items."""
        return float(self._norms[: len(self._parts[0])].max())

    def with_added(self, added: Vectors) -> "ItemVectors":
        """Returns the bundle's vectors and `added`, without the previously added."""
        return ItemVectors(self._parts[0], added)

    def nearest(self, item_indices: Sequence[int], k: int, allowed: Mask) -> Ranking:
        """Returns the `k` allowed items that are most similar to the given ones, best first.

        An item's score is the mean of its cosines with the given items. `allowed` is a mask
        `[items + 1]`.
        """
        direction = sum(self._vector(index) / self._norms[index] for index in item_indices)
        cosines = np.concatenate([part @ direction for part in self._parts]) / self._norms
        cosines /= len(item_indices)
        candidates = np.flatnonzero(allowed)
        order = np.argsort(-cosines[candidates], kind="stable")[:k]
        best = candidates[order]
        return list(zip(best.tolist(), cosines[best].tolist(), strict=True))

    def _vector(self, item_index: int) -> Vectors:
        table, added = self._parts
        is_in_bundle = item_index < len(table)
        vector: Vectors = table[item_index] if is_in_bundle else added[item_index - len(table)]
        return vector
