"""Grounding (BIGRec): from what an LLM wrote to the items whose titles it is nearest to.

The distance is Euclidean between the LLM's embeddings of the text and of every title (paper eq.
4). Both are standardised by the titles first, column by column, for raw states all point one way.
"""

import torch
from torch import Tensor

from training.teacher.matcher import Standardise


class Grounding:
    """Titles as points; `title_embeddings` is `[catalog rows, size]`, row 0 is not read."""

    def __init__(self, title_embeddings: Tensor) -> None:
        self._standardise = Standardise(title_embeddings[1:])
        self._scale = title_embeddings.shape[1] ** -0.5
        self._titles = self._scale * self._standardise(title_embeddings)

    def distances(self, embeddings: Tensor) -> Tensor:
        """Of texts `[texts, size]` to every item, `[texts, catalog rows]`; row 0 means nothing."""
        return torch.cdist(self._scale * self._standardise(embeddings), self._titles)
