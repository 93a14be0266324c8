"""Explains recommendations: how far an item's score falls without an item of the history."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from export.contract.bundle import Item
from service.ranking.recommender import Query, Recommendations, Recommender
from service.ranking.types import IndexQuery

MAX_REASONS = 5

Reasons = Sequence[tuple[Item, float]]
"""Items of the history and the score drop without them, largest first."""


def explain(
    recommender: Recommender, query: Query, recommendations: Recommendations
) -> list[Reasons]:
    """The reasons of each recommended item.

    Tries each of the newest `max_history_length` items. An item that occurs twice in the history is
    left out at both places. Only positive drops are reasons. Items that the student did not rank
    have no reasons.

    Raises:
        StudentError: the student failed.
    """
    if recommendations.source != "student" or not recommendations.ranking:
        return [[] for _ in recommendations.ranking]
    catalog = recommender.catalog
    history = catalog.known_indices(query.history)
    recommended = catalog.known_indices(item.item_id for item, _ in recommendations.ranking)
    left_out = list(dict.fromkeys(history[-recommender.manifest.max_history_length :]))
    drops = _score_drops(recommender, history, left_out, recommended)
    return [
        [(catalog.item(left_out[row]), float(column[row])) for row in _largest(column)]
        for column in drops.T
    ]


def _score_drops(
    recommender: Recommender,
    history: Sequence[int],
    left_out: Sequence[int],
    recommended: Sequence[int],
) -> NDArray[np.float64]:
    """`[left_out, recommended]`, the score with the whole history minus that without one item."""
    allowed = np.zeros_like(recommender.student.all_allowed)
    allowed[list(recommended)] = True
    shortened = [[each for each in history if each != item] for item in left_out]
    queries = [
        IndexQuery(each or [0], len(recommended), allowed=allowed, mask_seen=False)
        for each in (history, *shortened)
    ]
    rankings = map(dict, recommender.student.rank_many(queries))
    scores: NDArray[np.float64] = np.array(
        [[by_item[index] for index in recommended] for by_item in rankings]
    )
    drops: NDArray[np.float64] = scores[0] - scores[1:]
    return drops


def _largest(drops: NDArray[np.float64]) -> list[int]:
    rows = np.argsort(-drops, kind="stable")[:MAX_REASONS]
    return [int(row) for row in rows if drops[row] > 0]
