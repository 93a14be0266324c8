"""What a query asks for: checked, and joined with what is stored of its session."""

from service.api.schemas import RecommendationQuery
from service.bundles.variants import ServedVariant
from service.errors import InvalidRequestError
from service.ranking.recommender import Query
from service.runtime import Runtime
from service.stores.history.guarded import StoredHistory


def check_query(
    runtime: Runtime, served: ServedVariant, query: RecommendationQuery, place: str = ""
) -> None:
    """Raises InvalidRequestError for what no type can tell; `place` comes before the field."""
    runtime.check_k(query.k, f"{place}k")
    if query.history is None and query.session_id is None:
        raise InvalidRequestError(f"{place}history", "give a history, a session_id or both")
    try:
        served.recommender.catalog.filters.check(query.allow, query.deny)
    except InvalidRequestError as error:
        raise InvalidRequestError(f"{place}{error.field}", error.message) from None


async def stored_history_of(runtime: Runtime, query: RecommendationQuery) -> StoredHistory:
    """What is stored of the query's session."""
    return await runtime.history.read(query.session_id) if query.session_id else StoredHistory([])


def query_of(query: RecommendationQuery, stored: StoredHistory) -> Query:
    """The whole question: what is stored, then what the query brings."""
    return Query(
        history=[*stored.history, *(query.history or [])],
        k=query.k,
        exclude=query.exclude,
        allow=query.allow,
        deny=query.deny,
        mask_seen=query.mask_seen,
    )
