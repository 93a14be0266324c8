"""The scope that a key needs for each route.

`create_app` raises RouteTableError if a route is missing here, or a route named here does not
exist.
"""

from collections.abc import Mapping

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from service.access.principal import Scope
from service.access.route_table import RouteTable, ServedRoute

OPEN = None
"""Value of a route that needs no scope: everybody may call it, since it shows no data of users."""

SCOPES: Mapping[str, Scope | None] = {
    "POST /v1/recommendations": Scope.READ,
    "POST /v1/recommendations/batch": Scope.READ,
    "POST /v1/sessions/{session_id}/events": Scope.WRITE,
    "POST /v1/events": Scope.WRITE,
    "GET /v1/sessions/{session_id}/recommendations": Scope.READ,
    "GET /v1/sessions/{session_id}": Scope.READ,
    "DELETE /v1/sessions/{session_id}": Scope.WRITE,
    "DELETE /v1/users/{user_id}": Scope.WRITE,
    "POST /v1/teacher/recommendations": Scope.TEACHER,
    "POST /v1/compare": Scope.TEACHER,
    "GET /v1/items": Scope.READ,
    "POST /v1/items": Scope.ADMIN,
    "POST /v1/items/bulk": Scope.ADMIN,
    "GET /v1/items/{item_id}": Scope.READ,
    "PATCH /v1/items/{item_id}": Scope.ADMIN,
    "DELETE /v1/items/{item_id}": Scope.ADMIN,
    "GET /v1/items/{item_id}/similar": Scope.READ,
    "POST /v1/items/{item_id}/similar": Scope.READ,
    "GET /v1/popular": Scope.READ,
    "POST /v1/popular": Scope.READ,
    "GET /v1/model": Scope.READ,
    "POST /v1/model/activate": Scope.ADMIN,
    "POST /v1/model/rollback": Scope.ADMIN,
    "GET /v1/experiments": Scope.ADMIN,
    "GET /v1/operations": Scope.ADMIN,
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

OPEN_ON_LOOPBACK = frozenset(
    {"/v1/items", "/v1/items/bulk", "/v1/items/{item_id}", "/v1/experiments", "/v1/operations"}
)
"""Paths of the admin routes that need no key if the service listens on loopback and has no key."""


def scope_table(app: FastAPI) -> RouteTable[Scope | None]:
    """Makes the table that maps each request to the scope of its route in `app`.

    Raises:
        RouteTableError: SCOPES lacks a route, or names one that does not exist.
    """
    return RouteTable(served_routes(app), SCOPES)


def served_routes(app: FastAPI) -> list[ServedRoute]:
    """Returns the routes of `app` in the order in which FastAPI tries them."""
    return [
        ServedRoute(each.methods or (), each.path or "", each.path_regex.pattern)
        for each in iter_route_contexts(app.routes)
    ]
