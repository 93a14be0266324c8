"""The teacher's answer to what the service is asked, in the service's own words."""

from dataclasses import dataclass

from service.errors import TeacherUnavailableError
from service.ranking.recommender import Query, Recommendations, Recommender
from service.teacher.client import TeacherAnswer, TeacherQuery
from service.teacher.slow_path import SlowPath


@dataclass(frozen=True, slots=True)
class TeacherRecommendations:
    """Recommendations of the teacher and how it came to them."""

    recommendations: Recommendations
    answer: TeacherAnswer
    cached: bool


async def ask_teacher(
    slow_path: SlowPath, recommender: Recommender, wanted: Query
) -> TeacherRecommendations:
    """What the teacher recommends; fewer than `k` items where no more of its answer can be used.

    Raises:
        TeacherUnavailableError: it does not answer this request.
        InvalidRequestError: a filter names an attribute that no item has.
    """
    told = await slow_path.recommend(teacher_query_for(recommender, wanted))
    catalog = recommender.catalog
    found = zip(map(catalog.find, told.answer.item_ids), told.answer.distances, strict=True)
    # A score is higher for better items, a distance lower.
    ranking = [(item, -distance) for item, distance in found if item][: wanted.k]
    if not ranking:
        raise TeacherUnavailableError("the teacher knows no item that may be answered")
    unknown_items = len(wanted.history) - len(catalog.known_indices(wanted.history))
    recommendations = Recommendations(
        ranking, source="teacher", degraded=False, unknown_items=unknown_items
    )
    return TeacherRecommendations(recommendations, told.answer, told.cached)


def teacher_query_for(recommender: Recommender, wanted: Query) -> TeacherQuery:
    """The teacher knows no attributes: what the filters leave out is excluded by its id."""
    catalog = recommender.catalog
    mask = catalog.filters.mask(wanted.allow, wanted.deny)
    denied = () if mask is None else catalog.ids_where(~mask)
    return TeacherQuery(
        history=tuple(wanted.history),
        k=wanted.k,
        exclude=frozenset((*wanted.exclude, *denied)),
        mask_seen=wanted.mask_seen,
    )
