"""What a query asks for: checked, and joined with what is stored of its session."""

from service.errors import InvalidRequestError
from service.history.guard import Recall
from service.models import Served
from service.recommender import Wanted
from service.runtime import Runtime
from service.schemas import RecommendationQuery


def check_query(
    runtime: Runtime, served: Served, query: RecommendationQuery, place: str = ""
) -> None:
    """Raises InvalidRequestError for what no type can tell; `place` comes before the field."""
    runtime.check_k(query.k, f"{place}k")
    if query.history is None and query.session_id is None:
        raise InvalidRequestError(f"{place}history", "give a history, a session_id or both")
    try:
        served.recommender.catalog.filters.check(query.allow, query.deny)
    except InvalidRequestError as error:
        raise InvalidRequestError(f"{place}{error.field}", error.message) from None


async def recall_of(runtime: Runtime, query: RecommendationQuery) -> Recall:
    """What is stored of the query's session."""
    return await runtime.history.read(query.session_id) if query.session_id else Recall([])


def wanted_of(query: RecommendationQuery, stored: Recall) -> Wanted:
    """The whole question: what is stored, then what the query brings."""
    return Wanted(
        history=[*stored.history, *(query.history or [])],
        k=query.k,
        exclude=query.exclude,
        allow=query.allow,
        deny=query.deny,
        mask_seen=query.mask_seen,
    )
