"""The routes of popular and trending items."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from starlette.types import Scope

from service.access.principal import Principal
from service.admission.costs import catalog_units
from service.api.authorization import PrincipalDep
from service.api.problems import documented
from service.api.requests import ScopeDep, selection_query
from service.api.responses import json_response, ranking_content, shortage_content
from service.api.schemas.bodies import KInQuery, Name
from service.api.schemas.popular import (
    EVENT_TYPE,
    ORDER,
    WINDOW,
    PopularItemsAnswer,
    PopularItemsRequest,
)
from service.bundles.variants import ServedVariant
from service.errors import InvalidRequestError, NotFoundError
from service.popularity.growth import Order
from service.popularity.popularity import Counted, Popularity
from service.popularity.ranked_items import RankedItems
from service.ranking.recommender import Query as RankerQuery
from service.ranking.rules.types import Selection
from service.runtime import Runtime, RuntimeDep
from service.settings import DEFAULT_K
from service.stores.counts.windows import WINDOWS, WindowName

router = APIRouter(prefix="/v1/popular", tags=["items"])

_NOT_COUNTED = {"since": None, "events": None, "events_before": None, "degraded": False}


@router.get(
    "",
    response_model=PopularItemsAnswer,
    responses=documented(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_FOUND),
)
async def read_popular_items(
    runtime: RuntimeDep,
    principal: PrincipalDep,
    scope: ScopeDep,
    k: KInQuery = DEFAULT_K,
    window: Annotated[WindowName | None, Query(description=WINDOW)] = None,
    order: Annotated[Order, Query(description=ORDER)] = "popular",
    event_type: Annotated[Name | None, Query(description=EVENT_TYPE)] = None,
) -> Response:
    """Returns the `k` most popular or trending items of a window, by the events that were stored.

    Items without events in the window fill the list up, most popular in training first. The answer
    is 404 if `window` is given and the service counts no events: EVENT_LOG is off, or COUNTED_ITEMS
    is 0.
    """
    request = PopularItemsRequest(k=k, window=window, order=order, event_type=event_type)
    return await _popular_items(request, runtime, principal, scope)


@router.post(
    "",
    response_model=PopularItemsAnswer,
    responses=documented(
        HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_FOUND, HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    ),
)
async def select_popular_items(
    request: PopularItemsRequest, runtime: RuntimeDep, principal: PrincipalDep, scope: ScopeDep
) -> Response:
    """Returns the `k` most popular or trending items that filters and rules allow."""
    return await _popular_items(request, runtime, principal, scope)


async def _popular_items(
    request: PopularItemsRequest, runtime: Runtime, principal: Principal, scope: Scope
) -> Response:
    runtime.check_k(request.k)
    variant = runtime.variants.control
    query = selection_query(variant, request, [])
    counted = await _counted(request, runtime, principal.tenant)
    units = catalog_units(0, runtime.variants.num_items())
    # Only now, because requests with a turn must not wait for the counts.
    async with runtime.admission.heavy.turn(scope, units) as turn:
        return await turn.run(_answer, query, request.order, variant, runtime.popularity, counted)


async def _counted(request: PopularItemsRequest, runtime: Runtime, tenant: str) -> Counted | None:
    """Reads the counts for a request; None if it has no window.

    Raises:
        InvalidRequestError: the request needs a window, or no event has its type.
        NotFoundError: nothing is counted.
    """
    if request.window is None:
        for field, is_given in (
            ("order", request.order == "trending"),
            ("event_type", request.event_type is not None),
        ):
            if is_given:
                raise InvalidRequestError(field, f"needs a window: one of {', '.join(WINDOWS)}")
        return None
    types = runtime.settings.event_type_names
    if request.event_type is not None and request.event_type not in types:
        raise InvalidRequestError(
            "event_type", f"must be one of EVENT_TYPES, not {request.event_type!r}"
        )
    if runtime.popularity is None:
        raise NotFoundError("no events are counted: EVENT_LOG is off, or COUNTED_ITEMS is 0")
    return await runtime.popularity.read(tenant, request.window, request.event_type)


def _answer(
    query: RankerQuery,
    order: Order,
    variant: ServedVariant,
    popularity: Popularity | None,
    counted: Counted | None,
) -> Response:
    recommender = variant.recommender
    ranked = None
    if popularity is not None and counted is not None:
        ranked = popularity.ranked(counted, recommender.catalog, order)
    selection = recommender.popular_by_rules(query, None if ranked is None else ranked.scorer)
    content = {
        "model_version": variant.model_version,
        **(_NOT_COUNTED if counted is None else _totals(counted)),
        "items": _items(variant, selection, ranked),
    }
    return json_response(content | shortage_content(selection))


def _totals(counted: Counted) -> dict[str, Any]:
    return {
        "since": counted.counts.begin * 1000,
        "events": counted.counts.all_now,
        "events_before": counted.counts.all_before,
        "degraded": counted.is_stale,
    }


def _items(
    variant: ServedVariant, selection: Selection, ranked: RankedItems | None
) -> list[dict[str, Any]]:
    items = ranking_content(variant.recommender.with_items(selection.ranking))
    for item, (index, _) in zip(items, selection.ranking, strict=True):
        events = (None, None) if ranked is None else ranked.events.get(index, (0, 0))
        item["events"], item["events_before"] = events
    return items
