"""Grounding (BIGRec): distances from a text that the LLM wrote to all titles of the catalog.

The distance is the Euclidean distance between the LLM's embeddings of the text and of a title
(DLLM2Rec, eq. 4). Both embeddings are first standardised by the mean and standard deviation over
all titles, since all embeddings of an LLM lie near one dominant direction. They are also divided by
the square root of the number of dimensions.
"""

import torch
from torch import Tensor

from training.teacher.matcher import Standardise


class Grounding:
    """Computes the distances from texts to the titles of the catalog.

    A distance is Euclidean, between standardised embeddings, divided by the square root of `size`.

    Args:
        title_embeddings: `[catalog rows, size]`; row 0 is not used.
    """

    def __init__(self, title_embeddings: Tensor) -> None:
        self._standardise = Standardise(title_embeddings[1:])
        self._scale = title_embeddings.shape[1] ** -0.5
        self._titles = self._scale * self._standardise(title_embeddings)

    def distances(self, embeddings: Tensor) -> Tensor:
        """Computes the distances from written texts to all titles, `[texts, catalog rows]`.

        `embeddings` are the embeddings of the texts, `[texts, size]`. Column 0 of the result, the
        padding, is meaningless.
        """
        return torch.cdist(self._scale * self._standardise(embeddings), self._titles)
