"""Nearest neighbours of items: the items with the highest cosine of item vectors."""

from collections.abc import Sequence
from copy import copy

import numpy as np
from numpy.typing import NDArray

from service.ranking.types import Mask, Ranking, Vectors


class ItemVectors:
    """The item vectors of the bundle's items and the added items, by item index. Immutable."""

    def __init__(self, table: Vectors, added: Vectors) -> None:
        """Stores the vectors and computes their norms.

        Args:
            table: vectors of the bundle's items, `[items + 1, hidden]` by item index.
            added: vectors of the added items, `[added, hidden]`; their indices follow the bundle's.
        """
        self._parts = (table, added)
        self._norms = np.concatenate([_norms(table), _norms(added)])

    @property
    def are_finite_in_bundle(self) -> bool:
        """Whether the vectors of the bundle's items are finite, told by their norms."""
        return bool(np.isfinite(self._norms[: len(self._parts[0])]).all())

    @property
    def max_norm_in_bundle(self) -> float:
        """Largest Euclidean norm among the vectors of the bundle's items."""
        return float(self._norms[: len(self._parts[0])].max())

    def with_added(self, added: Vectors) -> "ItemVectors":
        """Returns a copy with the bundle's vectors and the vectors `added`, `[added, hidden]`.

        `added` replaces the vectors that were added before.
        """
        if added is self._parts[1]:
            return self
        vectors, num_rows = copy(self), len(self._parts[0])
        vectors._parts = (self._parts[0], added)
        vectors._norms = np.concatenate([self._norms[:num_rows], _norms(added)])
        return vectors

    def nearest(self, item_indices: Sequence[int], k: int, allowed: Mask) -> Ranking:
        """Ranks the `k` allowed items that are most similar to the items `item_indices`.

        The score of an item is the mean of its cosines with these items. `item_indices` must not be
        empty. `allowed` is a mask `[catalog rows]`.
        """
        direction = sum(self._vector(index) / self._norms[index] for index in item_indices)
        cosines = np.concatenate([part @ direction for part in self._parts]) / self._norms
        cosines /= len(item_indices)
        candidates = np.flatnonzero(allowed)
        order = np.argsort(-cosines[candidates], kind="stable")[:k]
        best = candidates[order]
        return list(zip(best.tolist(), cosines[best].tolist(), strict=True))

    def unit_vectors(self, item_indices: Sequence[int]) -> NDArray[np.float64]:
        """Returns the vectors of items, scaled to length 1, as `[item_indices, hidden]`."""
        if not item_indices:
            return np.zeros((0, self._parts[0].shape[1]))
        rows = np.stack([self._vector(index) for index in item_indices]).astype(np.float64)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        units: NDArray[np.float64] = rows / np.maximum(lengths, np.finfo(np.float32).tiny)
        return units

    def _vector(self, item_index: int) -> Vectors:
        table, added = self._parts
        is_in_bundle = item_index < len(table)
        vector: Vectors = table[item_index] if is_in_bundle else added[item_index - len(table)]
        return vector


def _norms(vectors: Vectors) -> Vectors:
    """Returns the Euclidean norm of each row, at least the smallest normal float32."""
    # np.linalg.norm would square all numbers in a copy of the table.
    norms: Vectors = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    return np.maximum(norms, np.finfo(np.float32).tiny)
