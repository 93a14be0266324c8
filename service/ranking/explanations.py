"""Explains recommendations: finds the items of the history that raise a recommended item's score.

A score drop is the recommended item's score after the whole history minus its score after the
history without one item.
"""

from collections.abc import Generator, Sequence

import numpy as np
from numpy.typing import NDArray

from export.contract.bundle import Item
from service.ranking.micro_batcher import SLICE_SIZE
from service.ranking.recommender import Query, Recommendations, Recommender
from service.ranking.types import IndexQuery

MAX_REASONS = 5
"""Maximum number of reasons per recommended item."""

Reasons = Sequence[tuple[Item, float]]
"""Items of the history, each with the score drop when it is left out; largest drop first."""


def explain_in_slices(
    recommender: Recommender, query: Query, recommendations: Recommendations
) -> Generator[None, None, list[Reasons]]:
    """Finds the reasons for each recommended item, in the order of `recommendations`.

    This generator yields after each slice of the work, and then returns the reasons. For each
    distinct item among the newest `max_history_length`, it ranks the history again without all
    occurrences of that item. The item is a reason if the recommended item's score is then lower.
    Hidden items and items that the student does not read are never reasons. If a fallback made the
    recommendations, each list of reasons is empty.

    Raises:
        StudentError: the student failed.
    """
    if recommendations.source != "student" or not recommendations.ranking:
        return [[] for _ in recommendations.ranking]
    catalog = recommender.catalog
    history, _ = catalog.divided(catalog.known_indices(query.history))
    recommended = catalog.known_indices(item.item_id for item, _ in recommendations.ranking)
    window = dict.fromkeys(history[-recommender.manifest.max_history_length :])
    left_out = [index for index in window if index not in catalog.hidden]
    drops = yield from _score_drops(recommender, history, left_out, recommended)
    return [
        [(catalog.item(left_out[row]), float(column[row])) for row in _largest(column)]
        for column in drops.T
    ]


def _score_drops(
    recommender: Recommender,
    history: Sequence[int],
    left_out: Sequence[int],
    recommended: Sequence[int],
) -> Generator[None, None, NDArray[np.float64]]:
    """Computes the score drop of each recommended item for each left-out item.

    This generator yields after each slice of the work, and then returns an array `[left_out,
    recommended]`. An entry is the score after the whole history minus the score after the history
    without the left-out item. All arguments are item indices.
    """
    allowed = np.zeros_like(recommender.student.all_allowed)
    allowed[list(recommended)] = True
    shortened = [[each for each in history if each != item] for item in left_out]
    queries = [
        IndexQuery(each or [0], len(recommended), allowed=allowed, mask_seen=False)
        for each in (history, *shortened)
    ]
    rankings: list[dict[int, float]] = []
    for start in range(0, len(queries), SLICE_SIZE):
        rankings += map(dict, recommender.student.rank_many(queries[start : start + SLICE_SIZE]))
        yield
    scores: NDArray[np.float64] = np.array(
        [[by_item[index] for index in recommended] for by_item in rankings]
    )
    drops: NDArray[np.float64] = scores[0] - scores[1:]
    return drops


def _largest(drops: NDArray[np.float64]) -> list[int]:
    rows = np.argsort(-drops, kind="stable")[:MAX_REASONS]
    return [int(row) for row in rows if drops[row] > 0]
