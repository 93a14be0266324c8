"""The scope of every route: what a key must be allowed to do to call it.

If a route has no row, or a row has no route, the application cannot be made.
"""

from collections.abc import Mapping

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from service.access.principal import Scope
from service.access.route_table import RouteTable, ServedRoute

OPEN = None
"""The scope of routes that everybody may call: they show nothing of users."""

SCOPES: Mapping[str, Scope | None] = {
    "POST /v1/recommendations": Scope.READ,
    "POST /v1/recommendations/batch": Scope.READ,
    "POST /v1/sessions/{session_id}/events": Scope.WRITE,
    "GET /v1/sessions/{session_id}/recommendations": Scope.READ,
    "GET /v1/sessions/{session_id}": Scope.READ,
    "DELETE /v1/sessions/{session_id}": Scope.WRITE,
    "POST /v1/teacher/recommendations": Scope.TEACHER,
    "POST /v1/compare": Scope.TEACHER,
    "GET /v1/items": Scope.READ,
    "POST /v1/items": Scope.ADMIN,
    "GET /v1/items/{item_id}": Scope.READ,
    "DELETE /v1/items/{item_id}": Scope.ADMIN,
    "GET /v1/items/{item_id}/similar": Scope.READ,
    "GET /v1/model": Scope.READ,
    "POST /v1/model/activate": Scope.ADMIN,
    "POST /v1/model/rollback": Scope.ADMIN,
    "GET /v1/examples": Scope.READ,
    "GET /healthz": OPEN,
    "GET /readyz": OPEN,
    "GET /metrics": OPEN,
    "GET /openapi.json": OPEN,
    "HEAD /openapi.json": OPEN,
    "GET /docs": OPEN,
    "GET /docs/{name}": OPEN,
    "GET /": OPEN,
    "GET /static/{name}": OPEN,
}

ITEM_CHANGES = frozenset({"/v1/items", "/v1/items/{item_id}"})
"""Paths of admin routes that everybody may call on loopback, if the service has no key at all."""


def scope_table(app: FastAPI) -> RouteTable[Scope | None]:
    """Makes the table of scopes for the routes of `app`.

    Raises:
        RouteTableError: a route has no row in SCOPES, or a row has no route.
    """
    routes = [
        ServedRoute(each.methods or (), each.path or "", each.path_regex.pattern)
        for each in iter_route_contexts(app.routes)
    ]
    return RouteTable(routes, SCOPES)
