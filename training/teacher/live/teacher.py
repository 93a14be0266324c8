"""The teacher asked live: one history, and the answer that `teach` would have stored."""

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
    """There is nothing to read; the fault of who asks, not of who set the teacher up."""


@dataclass(frozen=True)
class LiveAnswer:
    """Items nearest first and their distances.

    `tokens` were read and written for it; `generated_text` is None where none is written.
    """

    item_ids: Sequence[str]
    distances: Sequence[float]
    tokens: int
    generated_text: str | None = None


@dataclass(frozen=True)
class CatalogDistances:
    """What a history made a teacher expect: `distances` of the catalog, `[1, catalog rows]`."""

    distances: Tensor
    tokens: int
    generated_text: str | None = None


class TeacherBackend(Protocol):
    """What differs from kind to kind of teacher."""

    @property
    def name(self) -> str:
        """Of its LLM."""
        ...

    def impression(self, history: Sequence[int]) -> CatalogDistances:
        """What comes after the items of a history, oldest first, at least one."""
        ...

    def embed(self, titles: Sequence[str]) -> NDArray[np.float32]:
        """How the LLM sees titles, `[titles, size]`."""
        ...


@dataclass(frozen=True)
class LiveTeacher:
    """A teacher ready to answer; not to be asked by two threads at once.

    Attributes:
        version: changes with everything an answer depends on.
    """

    mind: TeacherBackend
    catalog: Catalog
    version: str

    @property
    def name(self) -> str:
        """Of its LLM."""
        return self.mind.name

    @torch.inference_mode()
    def recommend(
        self, history: Sequence[str], k: int, exclude: Collection[str], *, mask_seen: bool = True
    ) -> LiveAnswer:
        """The `k` items nearest to what comes next, fewer if fewer are left.

        Ids that the catalog does not have are skipped.

        Raises:
            UnknownHistoryError: none of `history` is in the catalog.
        """
        seen = self._known(history)
        if not seen:
            raise UnknownHistoryError(f"none of {len(history)} ids is in the teacher's catalog")
        impression = self.mind.impression(seen)
        forbidden = torch.zeros(impression.distances.shape, dtype=torch.bool)
        forbidden[0, self._known(exclude) + (seen if mask_seen else [])] = True
        nearest = nearest_items(impression.distances, forbidden, k)
        found = [index for index in nearest.rankings[0].tolist() if index]
        return LiveAnswer(
            item_ids=[self.catalog.item_ids[index - 1] for index in found],
            distances=nearest.distances[0, : len(found)].tolist(),
            tokens=impression.tokens,
            generated_text=impression.generated_text,
        )

    def embed(self, titles: Sequence[str]) -> NDArray[np.float32]:
        """How the LLM sees titles, `[titles, size]`, as `Knowledge.item_embeddings` has them."""
        return self.mind.embed(titles).astype(np.float16).astype(np.float32)

    def _known(self, item_ids: Collection[str]) -> list[int]:
        index_by_id = self.catalog.index_by_id
        return [index_by_id[item_id] for item_id in item_ids if item_id in index_by_id]
