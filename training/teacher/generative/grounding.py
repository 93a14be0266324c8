"""Grounding (BIGRec): maps a written text to the items whose titles are nearest.

The distance is Euclidean between the LLM's embeddings of the text and of every title (paper eq.
4). Both are first standardised by the titles, column by column, since raw states share one
dominant direction.
"""

import torch
from torch import Tensor

from training.teacher.matcher import Standardise


class Grounding:
    """Distances from texts to titles.

    `title_embeddings` is `[catalog rows, size]`; row 0 is not used.
    """

    def __init__(self, title_embeddings: Tensor) -> None:
        self._standardise = Standardise(title_embeddings[1:])
        self._scale = title_embeddings.shape[1] ** -0.5
        self._titles = self._scale * self._standardise(title_embeddings)

    def distances(self, embeddings: Tensor) -> Tensor:
        """Returns distances `[texts, catalog rows]` of text embeddings `[texts, size]`.

        Column 0, the padding, is meaningless.
        """
        return torch.cdist(self._scale * self._standardise(embeddings), self._titles)
