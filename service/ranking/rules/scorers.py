"""Scorers that rank by the student, by similarity or by popularity."""

import math
from collections.abc import Sequence

import numpy as np

from service.ranking.catalog import Catalog
from service.ranking.item_neighbours import ItemVectors
from service.ranking.rules.types import Scored, Scorer
from service.ranking.student import Student
from service.ranking.types import IndexQuery, Mask, Ranking


def by_student(student: Student, history: Sequence[int]) -> Scorer:
    """Returns a scorer that ranks by the student after `history`.

    The student must read all items of the history. The scorer raises StudentError if onnxruntime
    fails.
    """

    def score(allowed: Mask, number: int) -> Scored:
        query = IndexQuery(history, number, allowed=allowed, mask_seen=False)
        indices, scores = student.rank_arrays(query)
        return indices, scores.astype(np.float64)

    return score


def by_similarity(vectors: ItemVectors, item_indices: Sequence[int]) -> Scorer:
    """Returns a scorer that ranks by the mean cosine with the items `item_indices`."""
    return lambda allowed, number: _arrays(vectors.nearest(item_indices, number, allowed))


def by_popularity(catalog: Catalog) -> Scorer:
    """Returns a scorer that gives an item with n training interactions the score log(1 + n).

    So a boost of b has the effect of multiplying 1 + n by e^b. In a student's ranking, the same
    boost multiplies the odds of the item by e^b.
    """

    def score(allowed: Mask, number: int) -> Scored:
        indices = catalog.popular(number, allowed)
        return _arrays([(each, math.log1p(catalog.item(each).popularity)) for each in indices])

    return score


def _arrays(ranking: Ranking) -> Scored:
    indices = np.array([index for index, _ in ranking], dtype=np.int64)
    return indices, np.array([score for _, score in ranking], dtype=np.float64)
