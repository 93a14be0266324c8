"""The cost of every route: the kind of its work, and its units.

`create_app` raises CostError if a route has no cost. Fast lanes serve only light routes.
"""

from collections.abc import Mapping
from dataclasses import replace

from fastapi import FastAPI

from service.access.route_table import RouteTable
from service.admission.costs import Cost, batch_units, catalog_units, change_units, event_units
from service.api.scopes import OPEN, SCOPES, served_routes

_FREE, _LIGHT, _TEACHER, _ADMIN = Cost("free"), Cost("light"), Cost("teacher"), Cost("admin")
_CATALOG = Cost("heavy", catalog_units)

COSTS: Mapping[str, Cost] = {
    "POST /v1/recommendations": _LIGHT,
    "POST /v1/recommendations/batch": Cost("heavy", batch_units),
    "POST /v1/sessions/{session_id}/events": _LIGHT,
    "POST /v1/events": Cost("heavy", event_units),
    "GET /v1/sessions/{session_id}/recommendations": _LIGHT,
    "GET /v1/sessions/{session_id}": _LIGHT,
    "DELETE /v1/sessions/{session_id}": _LIGHT,
    "DELETE /v1/users/{user_id}": _LIGHT,
    "POST /v1/teacher/recommendations": _TEACHER,
    "POST /v1/compare": _TEACHER,
    "GET /v1/items": _CATALOG,
    "POST /v1/items": _ADMIN,
    "POST /v1/items/bulk": Cost("bulk", change_units),
    "GET /v1/items/{item_id}": _LIGHT,
    "PATCH /v1/items/{item_id}": _ADMIN,
    "DELETE /v1/items/{item_id}": _ADMIN,
    "GET /v1/items/{item_id}/similar": _CATALOG,
    "POST /v1/items/{item_id}/similar": _CATALOG,
    "GET /v1/popular": _LIGHT,
    "POST /v1/popular": _LIGHT,
    "GET /v1/model": _LIGHT,
    "POST /v1/model/activate": _ADMIN,
    "POST /v1/model/rollback": _ADMIN,
    "GET /v1/experiments": _LIGHT,
    "GET /v1/operations": _LIGHT,
    "GET /v1/examples": _LIGHT,
    "GET /healthz": _FREE,
    "GET /readyz": _FREE,
    "GET /metrics": _FREE,
    "GET /openapi.json": _LIGHT,
    "HEAD /openapi.json": _LIGHT,
    "GET /docs": _LIGHT,
    "GET /docs/{name}": _LIGHT,
    "GET /": _LIGHT,
    "GET /static/{name}": _LIGHT,
}
"""The cost of each route, by method and path.

Explanations, costly filters, costly rules and many exclusions from a large catalog make a request
to a light route heavy. Only its parsed body shows this, so the route's handler waits for the turn.
So does the first request for popular items of a window after new counts, if it ranks many items.
"""


class CostError(Exception):
    """A route without a cost, or a cost without a route; the message names them."""


def cost_table(app: FastAPI, *, answers_preflights: bool) -> RouteTable[Cost]:
    """Makes the table that maps each request to the cost of its route in `app`.

    `answers_preflights`: whether `app` answers preflight requests, by which a browser asks whether
    a page may send a request. They are free, because a page never learns why one is refused.

    Raises:
        CostError: COSTS does not name the same routes as SCOPES, which names all routes.
    """
    if COSTS.keys() != SCOPES.keys():
        differ = ", ".join(sorted(COSTS.keys() ^ SCOPES.keys()))
        raise CostError(f"routes without a cost, or costs without a route: {differ}")
    costs = {
        name: replace(cost, is_limited=SCOPES[name] is not OPEN) for name, cost in COSTS.items()
    }
    routes = served_routes(app)
    if answers_preflights:
        routes += [replace(each, methods=["OPTIONS"]) for each in routes]
        costs |= {f"OPTIONS {each.path}": replace(_FREE, is_limited=False) for each in routes}
    return RouteTable(routes, costs)
