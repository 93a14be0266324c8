"""The live teacher: recommends items for a history on request.

It ranks items as `python -m training.teach` ranks them for the examples of a dataset.
"""

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
    """A client's history without any item id that is in the teacher's catalog."""


@dataclass(frozen=True)
class LiveAnswer:
    """The answer of a live teacher to one history: recommended items and their distances.

    Attributes:
        item_ids: ids of the recommended items, nearest first.
        distances: distance of each item; lower is nearer.
        tokens: number of tokens read and written for this answer.
        generated_text: title that a generative teacher wrote; None for other kinds.
    """

    item_ids: Sequence[str]
    distances: Sequence[float]
    tokens: int
    generated_text: str | None = None


@dataclass(frozen=True)
class CatalogDistances:
    """The distances from one history to all items of the catalog.

    Attributes:
        distances: `[1, catalog rows]`; lower is nearer, column 0 is meaningless.
        tokens: number of tokens read and written to compute them.
        generated_text: title that a generative teacher wrote; None for other kinds.
    """

    distances: Tensor
    tokens: int
    generated_text: str | None = None


class TeacherBackend(Protocol):
    """Interface to one kind of teacher, which a `LiveTeacher` uses.

    It computes the distances from a history to all items, and embeddings of titles.
    """

    @property
    def name(self) -> str:
        """Name of the LLM, or of the method that embeds titles without an LLM."""
        ...

    def catalog_distances(self, history: Sequence[int]) -> CatalogDistances:
        """Computes the distances from a history to all items.

        `history` holds item indices, oldest first, and is not empty.
        """
        ...

    def embed(self, titles: Sequence[str]) -> NDArray[np.float32]:
        """Embeds titles in the space of the teacher's item embeddings, `[titles, size]`."""
        ...


@dataclass(frozen=True)
class LiveTeacher:
    """A loaded teacher that recommends items and embeds titles; not thread-safe.

    Attributes:
        backend: computes distances and embeddings.
        catalog: items that may be recommended.
        version: hash of everything that answers depend on.
    """

    backend: TeacherBackend
    catalog: Catalog
    version: str

    @property
    def name(self) -> str:
        """Name of the LLM, or of the method that embeds titles without an LLM."""
        return self.backend.name

    @torch.inference_mode()
    def recommend(
        self, history: Sequence[str], k: int, exclude: Collection[str], *, mask_seen: bool = True
    ) -> LiveAnswer:
        """Recommends the `k` items nearest to a history, or all allowed items if they are fewer.

        Args:
            history: item ids, oldest first; ids that are not in the catalog are skipped.
            k: number of items to recommend.
            exclude: ids of items not to recommend; ids that are not in the catalog are skipped.
            mask_seen: whether the items of `history` are excluded, too.

        Raises:
            UnknownHistoryError: no id of `history` is in the catalog.
        """
        seen = self._item_indices(history)
        if not seen:
            raise UnknownHistoryError(f"none of the {len(history)} ids is in the teacher's catalog")
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
        """Embeds titles, `[titles, size]`, in the space and precision of stored item embeddings."""
        return self.backend.embed(titles).astype(np.float16).astype(np.float32)

    def _item_indices(self, item_ids: Collection[str]) -> list[int]:
        index_by_id = self.catalog.index_by_id
        return [index_by_id[item_id] for item_id in item_ids if item_id in index_by_id]
