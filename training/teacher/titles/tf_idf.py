"""Embeds titles by TF-IDF and a truncated SVD (latent semantic analysis), without an LLM.

The TF-IDF vector of a title has the entry `count · (log((1 + N) / (1 + n)) + 1)` for each word of
the catalog, and is scaled to unit length. `count` is how often the word occurs in the title, N the
number of titles, and n the number of titles with the word. The TF-IDF vectors of all titles are the
rows of a matrix. An embedding is the product of a title's vector with the first right singular
vectors of this matrix.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.errors import ConfigError
from training.teacher.titles.words import words_of

SEED = 0
NUM_SPARE_PROBES, NUM_POWER_STEPS = 10, 4  # of the randomised SVD (Halko et al., 2011)


class TfIdf:
    """TF-IDF with a truncated SVD, fitted to the titles of a catalog.

    Args:
        titles: the titles to fit to.
        size: maximum number of singular vectors, which is the number of dimensions of embeddings.

    Raises:
        ConfigError: no title has a word.
    """

    name = "TF-IDF"

    def __init__(self, titles: Sequence[str], size: int) -> None:
        counts = Counter(word for title in titles for word in set(words_of(title)))
        if not counts:
            raise ConfigError(
                f"teacher.kind = 'tf-idf': none of the {len(titles)} titles has a word, such as "
                f"{titles[0]!r}; choose another kind"
            )
        self.column_of = {word: column for column, word in enumerate(sorted(counts))}
        with_word = np.array([counts[word] for word in self.column_of], dtype=np.float64)
        self.idf = np.log((1 + len(titles)) / (1 + with_word)) + 1
        self.directions = right_singular_vectors(self.weights(titles), size)

    def embed(self, titles: Sequence[str]) -> NDArray[np.float32]:
        """Implements `TitleEmbedder.embed`; words that occur in no fitted title are ignored."""
        embeddings: NDArray[np.float32] = (self.weights(titles) @ self.directions).float().numpy()
        return embeddings

    def weights(self, titles: Sequence[str]) -> Tensor:
        """Returns the TF-IDF vectors of titles at unit length, `[titles, words]`, sparse."""
        counts = [Counter(filter(self.column_of.__contains__, words_of(each))) for each in titles]
        rows = np.repeat(np.arange(len(titles)), [len(each) for each in counts])
        columns = np.array([self.column_of[word] for each in counts for word in each], dtype=int)
        values = np.array([count for each in counts for count in each.values()], dtype=np.float64)
        values *= self.idf[columns]
        lengths = np.sqrt(np.bincount(rows, values**2, minlength=len(titles)))
        places = torch.from_numpy(np.stack([rows, columns]))
        shape = len(titles), len(self.column_of)
        scaled = torch.from_numpy(values / lengths[rows])
        return torch.sparse_coo_tensor(places, scaled, shape, check_invariants=True).coalesce()


def right_singular_vectors(matrix: Tensor, size: int) -> Tensor:
    """Returns the first right singular vectors of a sparse matrix, `[columns, size]`.

    They are computed by a randomised SVD with a fixed seed. In each vector, the entry with the
    largest absolute value is positive.

    Args:
        matrix: `[rows, columns]`, sparse, in double precision.
        size: maximum number of singular vectors; a smaller matrix has only as many as it has rows
            or columns.
    """
    num_probes = min(size + NUM_SPARE_PROBES, *matrix.shape)
    generator = torch.Generator().manual_seed(SEED)
    shape = matrix.shape[1], num_probes
    span = torch.randn(shape, generator=generator, dtype=torch.float64)
    for _ in range(NUM_POWER_STEPS):
        span = _orthonormal(matrix.T @ _orthonormal(matrix @ span))
    _, _, rotation = torch.linalg.svd(matrix @ span, full_matrices=False)
    vectors = span @ rotation[:size].T
    largest = vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True))
    of_one_sign: Tensor = vectors * largest.sign()
    return of_one_sign


def _orthonormal(vectors: Tensor) -> Tensor:
    basis: Tensor = torch.linalg.qr(vectors).Q
    return basis
