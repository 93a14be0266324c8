"""Why an item was recommended: how far its score falls when an item of the history is left out."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from export.contract.bundle import Item
from service.ranking.recommender import Query, Recommendations, Recommender
from service.ranking.types import IndexQuery

MAX_REASONS = 5

Reasons = Sequence[tuple[Item, float]]
"""Items of the history and the fall of the score without them, largest first."""


def explain(
    recommender: Recommender, wanted: Query, recommendations: Recommendations
) -> list[Reasons]:
    """The reasons of each recommended item, from one run of the student.

    The newest `max_history_length` items are tried. An item that stands in the history twice is
    left out twice at once. Only falls are reasons; what the student did not recommend has none.

    Raises:
        StudentError: the student failed.
    """
    if recommendations.source != "student" or not recommendations.ranking:
        return [[] for _ in recommendations.ranking]
    catalog = recommender.catalog
    history = catalog.known_indices(wanted.history)
    answered = catalog.known_indices(item.item_id for item, _ in recommendations.ranking)
    tried = list(dict.fromkeys(history[-recommender.manifest.max_history_length :]))
    falls = _falls(recommender, history, tried, answered)
    return [
        [(catalog.item(tried[place]), float(column[place])) for place in _largest(column)]
        for column in falls.T
    ]


def _falls(
    recommender: Recommender, history: Sequence[int], tried: Sequence[int], answered: Sequence[int]
) -> NDArray[np.float64]:
    """`[tried, answered]`, the score with the whole history less that without one item."""
    allowed = np.zeros_like(recommender.student.all_allowed)
    allowed[list(answered)] = True
    shortened = [[each for each in history if each != left_out] for left_out in tried]
    questions = [
        IndexQuery(each or [0], len(answered), allowed=allowed, mask_seen=False)
        for each in (history, *shortened)
    ]
    rankings = map(dict, recommender.student.rank_many(questions))
    scores: NDArray[np.float64] = np.array(
        [[by_item[index] for index in answered] for by_item in rankings]
    )
    falls: NDArray[np.float64] = scores[0] - scores[1:]
    return falls


def _largest(falls: NDArray[np.float64]) -> list[int]:
    places = np.argsort(-falls, kind="stable")[:MAX_REASONS]
    return [int(place) for place in places if falls[place] > 0]
