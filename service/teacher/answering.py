"""Asks the teacher a query of the service and turns its answer into recommendations."""

from dataclasses import dataclass

from service.errors import TeacherUnavailableError
from service.ranking.recommender import Query, Recommendations, Recommender
from service.teacher.client import TeacherAnswer, TeacherQuery
from service.teacher.slow_path import SlowPath


@dataclass(frozen=True, slots=True)
class TeacherRecommendations:
    """Recommendations of the teacher, with its answer; `cached` if that is from the cache."""

    recommendations: Recommendations
    answer: TeacherAnswer
    cached: bool


async def ask_teacher(
    slow_path: SlowPath, recommender: Recommender, query: Query
) -> TeacherRecommendations:
    """Returns the teacher's recommendations: up to `k` items that are known and allowed.

    Raises:
        TeacherUnavailableError: it does not answer this request.
        InvalidRequestError: a filter names an attribute that no item has.
    """
    result = await slow_path.recommend(teacher_query_for(recommender, query))
    catalog, answer = recommender.catalog, result.answer
    found = zip(map(catalog.find, answer.item_ids), answer.distances, strict=True)
    # Better items have higher scores but lower distances.
    ranking = [(item, -distance) for item, distance in found if item][: query.k]
    if not ranking:
        raise TeacherUnavailableError("the teacher's answer has no item that the catalog has")
    unknown_items = len(query.history) - len(catalog.known_indices(query.history))
    recommendations = Recommendations(
        ranking, source="teacher", degraded=False, unknown_items=unknown_items
    )
    return TeacherRecommendations(recommendations, answer, result.cached)


def teacher_query_for(recommender: Recommender, query: Query) -> TeacherQuery:
    """Makes the teacher's query: items that the filters deny are excluded by their ids.

    The teacher does not know attributes.
    """
    catalog = recommender.catalog
    mask = catalog.filters.mask(query.allow, query.deny)
    denied = () if mask is None else catalog.ids_where(~mask)
    return TeacherQuery(
        history=tuple(query.history),
        k=query.k,
        exclude=frozenset((*query.exclude, *denied)),
        mask_seen=query.mask_seen,
    )
