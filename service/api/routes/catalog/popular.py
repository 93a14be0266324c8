"""The routes of popular and trending items."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from starlette.types import Scope

from service.access.principal import Principal
from service.admission.caller import caller_of
from service.admission.costs import ranking_units
from service.api.authorization import PrincipalDep
from service.api.problems import documented
from service.api.requests import ScopeDep, selection_query, selection_units
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
from service.popularity.popularity import Counted, Ranked
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
    ranked = await _ranked(request, runtime, principal.tenant, variant, scope)
    units = selection_units(variant, query)
    if not units:
        return _answer(query, variant, ranked)
    async with runtime.admission.heavy.turn(scope, units) as turn:
        return await turn.run(_answer, query, variant, ranked)


async def _ranked(
    request: PopularItemsRequest,
    runtime: Runtime,
    tenant: str,
    variant: ServedVariant,
    scope: Scope,
) -> Ranked | None:
    """Ranks the catalog by the events of the request's window; returns None if it has no window.

    The first request after new counts ranks, which is heavy work if there are many items. Where
    its turn would come too late, the ranking of before answers.

    Raises:
        InvalidRequestError: the request needs a window, or no event has its type.
        NotFoundError: nothing is counted.
        OverloadedError: the turn would come too late, and there is no ranking of before.
    """
    window = _checked_window(request, runtime)
    if window is None:
        return None
    popularity, heavy = runtime.popularity, runtime.admission.heavy
    if popularity is None:
        raise NotFoundError("no events are counted: EVENT_LOG is off, or COUNTED_ITEMS is 0")
    counted = await popularity.read(tenant, window, request.event_type)
    catalog, order = variant.recommender.catalog, request.order
    if ready := popularity.ready(counted, catalog, order):
        return ready
    units = ranking_units(len(counted.counts.item_ids), len(catalog))
    if not units:
        return popularity.rank(counted, catalog, order)
    newest = popularity.newest(counted.query, catalog, order)
    if newest and "turn" not in scope and heavy.is_late(caller_of(scope), units):
        return newest._replace(counted=newest.counted._replace(is_stale=True))
    async with heavy.turn(scope, units) as turn:
        return await turn.run(popularity.rank, counted, catalog, order)


def _checked_window(request: PopularItemsRequest, runtime: Runtime) -> WindowName | None:
    """Returns the window of a request, after a check of the fields that depend on it.

    Raises:
        InvalidRequestError: the request needs a window, or no event has its type.
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
    return request.window


def _answer(query: RankerQuery, variant: ServedVariant, ranked: Ranked | None) -> Response:
    scorer = None if ranked is None else ranked.items.scorer
    selection = variant.recommender.popular_by_rules(query, scorer)
    content = {
        "model_version": variant.model_version,
        **(_NOT_COUNTED if ranked is None else _totals(ranked.counted)),
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
    variant: ServedVariant, selection: Selection, ranked: Ranked | None
) -> list[dict[str, Any]]:
    items = ranking_content(variant.recommender.with_items(selection.ranking))
    for item, (index, _) in zip(items, selection.ranking, strict=True):
        events = (None, None) if ranked is None else ranked.items.events.get(index, (0, 0))
        item["events"], item["events_before"] = events
    return items
