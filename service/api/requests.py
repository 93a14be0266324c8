"""Checks queries of requests and joins them with the stored history of their session."""

from service.api.schemas import RecommendationQuery
from service.bundles.variants import ServedVariant
from service.errors import InvalidRequestError
from service.ranking.recommender import Query
from service.runtime import Runtime
from service.stores.history.guarded import StoredHistory


def check_query(
    runtime: Runtime, variant: ServedVariant, query: RecommendationQuery, place: str = ""
) -> None:
    """Raises InvalidRequestError for a query that cannot be answered, though its types are right.

    `place` precedes the field's name in the error, as `requests[3].`.
    """
    runtime.check_k(query.k, f"{place}k")
    if query.history is None and query.session_id is None:
        raise InvalidRequestError(f"{place}history", "give a history, a session_id or both")
    try:
        variant.recommender.catalog.filters.check(query.allow, query.deny)
    except InvalidRequestError as error:
        raise InvalidRequestError(f"{place}{error.field}", error.message) from None


async def stored_history_of(runtime: Runtime, query: RecommendationQuery) -> StoredHistory:
    """Reads the stored history of the query's session; empty if the query names none."""
    return await runtime.history.read(query.session_id) if query.session_id else StoredHistory([])


def query_of(query: RecommendationQuery, stored: StoredHistory) -> Query:
    """Makes the query for the recommender: the stored history, then the request's own."""
    return Query(
        history=[*stored.history, *(query.history or [])],
        k=query.k,
        exclude=query.exclude,
        allow=query.allow,
        deny=query.deny,
        mask_seen=query.mask_seen,
    )
