"""Checks a query, joins it with its session's stored history, and computes its cost in units."""

from typing import Annotated

from fastapi import Depends, Request
from starlette.types import Scope

from service.access.principal import Principal
from service.admission.costs import filter_units
from service.admission.gate import Turn
from service.api.schemas import RecommendationQuery
from service.bundles.variants import ServedVariant
from service.errors import InvalidRequestError
from service.ranking.recommender import Query
from service.runtime import Runtime
from service.stores.history.guarded import StoredHistory


def check_query(
    runtime: Runtime, variant: ServedVariant, query: RecommendationQuery, prefix: str = ""
) -> None:
    """Checks the rules that the schema of a query cannot express.

    Args:
        runtime: has the setting MAX_K.
        variant: filters may name the attributes of the items in its catalog.
        query: the query to check.
        prefix: precedes the field's name in the error, such as `requests[3].` in a batch.

    Raises:
        InvalidRequestError: `k` is too large, history and session are both missing, or a filter
            names an attribute that no item has.
    """
    runtime.check_k(query.k, f"{prefix}k")
    if query.history is None and query.session_id is None:
        raise InvalidRequestError(f"{prefix}history", "give a history, a session_id or both")
    try:
        variant.recommender.catalog.filters.check(query.allow, query.deny)
    except InvalidRequestError as error:
        raise InvalidRequestError(f"{prefix}{error.field}", error.message) from None


async def stored_history_of(
    runtime: Runtime, query: RecommendationQuery, principal: Principal
) -> StoredHistory:
    """Reads the stored history of the query's session; empty if the query names no session.

    `principal`: the sender, whose tenant owns the session.
    """
    if not query.session_id:
        return StoredHistory([])
    return await runtime.history.read(runtime.session(query.session_id, principal.tenant))


def query_of(query: RecommendationQuery, stored: StoredHistory) -> Query:
    """Makes the recommender's query, whose history is the stored one followed by the request's."""
    return Query(
        history=[*stored.history, *(query.history or [])],
        k=query.k,
        exclude=query.exclude,
        allow=query.allow,
        deny=query.deny,
        mask_seen=query.mask_seen,
    )


def heavy_units(variant: ServedVariant, query: Query, *, explain: bool) -> int:
    """Returns the units of a query whose filters or explanation make it heavy work; else 0."""
    units = units_of_filters(variant, query) if query.allow or query.deny else 0
    if explain:  # ranks once for each item of the window
        window = variant.recommender.manifest.max_history_length
        units += 1 + min(len(query.history), window) // 2
    return units


def units_of_filters(variant: ServedVariant, query: Query) -> int:
    """Returns the units that a query's filters cost on top of a light request."""
    filters = variant.recommender.catalog.filters
    return filter_units(filters.num_steps(query.allow, query.deny))


# Coroutines, because FastAPI would run ordinary functions in a thread.
async def get_scope(request: Request) -> Scope:
    """FastAPI dependency: returns the ASGI scope of a request."""
    return request.scope


async def get_turn(request: Request) -> Turn:
    """FastAPI dependency: returns the turn of a request to a heavy route."""
    turn: Turn = request.scope["turn"]
    return turn


ScopeDep = Annotated[Scope, Depends(get_scope)]
TurnDep = Annotated[Turn, Depends(get_turn)]
