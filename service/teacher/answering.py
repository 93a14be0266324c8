"""Asks the teacher for recommendations, and turns its item ids into items of the catalog."""

from dataclasses import dataclass

import numpy as np

from service.errors import TeacherUnavailableError
from service.ranking.recommender import Query, Recommendations, Recommender
from service.ranking.types import Mask
from service.teacher.client import TeacherAnswer, TeacherQuery
from service.teacher.slow_path import SlowPath


@dataclass(frozen=True, slots=True)
class TeacherRecommendations:
    """Recommendations of the teacher, and the answer that they are made from.

    Attributes:
        recommendations: the first `k` items of `answer` that the catalog has; their scores are the
            negative distances.
        answer: the teacher's answer to the query, without unusable items (`TeacherClient`).
        cached: whether `answer` comes from the cache of the slow path.
    """

    recommendations: Recommendations
    answer: TeacherAnswer
    cached: bool


async def ask_teacher(
    slow_path: SlowPath, recommender: Recommender, query: Query, teacher_query: TeacherQuery
) -> TeacherRecommendations:
    """Returns the teacher's recommendations for a query.

    Items that the catalog does not have are left out, so there can be fewer than `k`.

    Args:
        slow_path: the slow path that asks the teacher.
        recommender: has the catalog that decides which items exist.
        query: the query, which decides `k`.
        teacher_query: `query` in the teacher's form, from `teacher_query_for`. It is an argument,
            so that the caller can compute it in a thread.

    Raises:
        TeacherUnavailableError: the teacher does not answer, or the catalog has none of its items.
    """
    result = await slow_path.recommend(teacher_query)
    catalog, answer = recommender.catalog, result.answer
    found = zip(map(catalog.find, answer.item_ids), answer.distances, strict=True)
    # Negative distances are the scores, because better items have lower distances.
    ranking = [(item, -distance) for item, distance in found if item][: query.k]
    if not ranking:
        raise TeacherUnavailableError(
            "the catalog has none of the items that the teacher recommends"
        )
    unknown_items = len(query.history) - len(catalog.known_indices(query.history))
    recommendations = Recommendations(
        ranking, source="teacher", degraded=False, unknown_items=unknown_items
    )
    return TeacherRecommendations(recommendations, answer, result.cached)


def teacher_query_for(recommender: Recommender, query: Query) -> TeacherQuery:
    """Turns a query of the service into a query for the teacher.

    The teacher knows neither attributes nor hidden items. So the excluded ids get those of all
    hidden items of the recommender's catalog, and of all items that the filters do not allow.
    """
    denied = _denied(recommender, query)
    return TeacherQuery(
        history=tuple(query.history),
        k=query.k,
        exclude=frozenset((*query.exclude, *recommender.catalog.ids_where(denied))),
        mask_seen=query.mask_seen,
    )


def num_denied(recommender: Recommender, query: Query) -> int:
    """Returns the number of ids that `teacher_query_for` adds to those that the query excludes."""
    return int(np.count_nonzero(_denied(recommender, query)[1:]))


def _denied(recommender: Recommender, query: Query) -> Mask:
    """Returns the mask `[catalog rows]` of the items that are hidden or that no filter allows."""
    catalog = recommender.catalog
    allowed = catalog.filters.mask(query.allow, query.deny)
    return catalog.hidden.mask if allowed is None else ~allowed
