"""The live teacher: answers one history as `teach` would have stored it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.catalog import Catalog
from training.teacher.top_k import nearest_items


class UnknownHistoryError(Exception):
    """No id of a history is in the catalog: an error of the client, not of the setup."""


@dataclass(frozen=True)
class LiveAnswer:
    """Recommended items.

    Attributes:
        item_ids: nearest first.
        distances: of each item, lower = nearer.
        tokens: read and written for this answer.
        generated_text: written title, None if the teacher writes none.
    """

    item_ids: Sequence[str]
    distances: Sequence[float]
    tokens: int
    generated_text: str | None = None


@dataclass(frozen=True)
class CatalogDistances:
    """Distances of the catalog from one history.

    Attributes:
        distances: `[1, catalog rows]`.
        tokens: read and written to compute them.
        generated_text: written title, None if the teacher writes none.
    """

    distances: Tensor
    tokens: int
    generated_text: str | None = None


class TeacherBackend(Protocol):
    """The part of a live teacher that depends on its kind."""

    @property
    def name(self) -> str:
        """Name of the LLM."""
        ...

    def catalog_distances(self, history: Sequence[int]) -> CatalogDistances:
        """Returns the distances of all items from a non-empty history, oldest item first."""
        ...

    def embed(self, titles: Sequence[str]) -> NDArray[np.float32]:
        """Embeds titles with the LLM, `[titles, size]`."""
        ...


@dataclass(frozen=True)
class LiveTeacher:
    """A loaded teacher; not thread-safe.

    Attributes:
        backend: computes distances and embeddings.
        catalog: items that may be recommended.
        version: changes with everything that an answer depends on.
    """

    backend: TeacherBackend
    catalog: Catalog
    version: str

    @property
    def name(self) -> str:
        """Name of the LLM."""
        return self.backend.name

    @torch.inference_mode()
    def recommend(
        self, history: Sequence[str], k: int, exclude: Collection[str], *, mask_seen: bool = True
    ) -> LiveAnswer:
        """Returns the `k` nearest items, fewer if fewer are left.

        Args:
            history: item ids, oldest first; unknown ids are skipped.
            k: number of items.
            exclude: ids that must not be recommended; unknown ids are skipped.
            mask_seen: whether items of `history` are excluded too.

        Raises:
            UnknownHistoryError: no id of `history` is in the catalog.
        """
        seen = self._item_indices(history)
        if not seen:
            raise UnknownHistoryError(f"none of {len(history)} ids is in the teacher's catalog")
        answer = self.backend.catalog_distances(seen)
        forbidden = torch.zeros(answer.distances.shape, dtype=torch.bool)
        forbidden[0, self._item_indices(exclude) + (seen if mask_seen else [])] = True
        nearest = nearest_items(answer.distances, forbidden, k)
        item_indices = [index for index in nearest.rankings[0].tolist() if index]
        return LiveAnswer(
            item_ids=[self.catalog.item_ids[index - 1] for index in item_indices],
            distances=nearest.distances[0, : len(item_indices)].tolist(),
            tokens=answer.tokens,
            generated_text=answer.generated_text,
        )

    def embed(self, titles: Sequence[str]) -> NDArray[np.float32]:
        """Embeds titles, `[titles, size]`, comparable with `Knowledge.item_embeddings`."""
        return self.backend.embed(titles).astype(np.float16).astype(np.float32)

    def _item_indices(self, item_ids: Collection[str]) -> list[int]:
        index_by_id = self.catalog.index_by_id
        return [index_by_id[item_id] for item_id in item_ids if item_id in index_by_id]
