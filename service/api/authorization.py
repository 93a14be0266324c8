"""Refuses a request whose principal may not call the route, before the body is read."""

from collections.abc import Awaitable
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from service.access import principal as principals
from service.access.access import Access
from service.access.principal import SCOPE_KEY, Principal
from service.access.route_table import ROUTE_KEY, RouteTable
from service.api.problems import http_problem, service_problem
from service.api.scopes import OPEN_ON_LOOPBACK
from service.errors import ForbiddenError, ServiceError, UnauthorizedError
from service.http.ids_in_paths import keep_encoded

Needed = principals.Scope | None


class AuthorizeByKey:
    """ASGI middleware: checks key, scope and limits of a request before its body is read.

    It comes before the fast lanes, so that requests in a lane are checked too. It answers 404 or
    405 if no route matches a request, so no route can be reached without a check. It sets the path
    in the ASGI scope to the path as the client sent it, percent-encoded.
    """

    def __init__(self, app: ASGIApp, routes: RouteTable[Needed], access: Access) -> None:
        """Makes the middleware.

        Args:
            app: the next middleware.
            routes: the scope that each route needs; None: the route is open to everybody.
            access: the keys of the service, and the limits of each key.
        """
        self._app = app
        self._routes = routes
        self._authentication = access.authentication
        self._limits = access.limits
        self._are_items_open = access.are_items_open

    # Not a coroutine, and so without a frame of its own: most requests need not wait here.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Passes the request on with its principal and the path of its route, or refuses it."""
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        keep_encoded(scope)
        found = self._routes.find(scope["method"], scope["path"])
        if found is None:
            return self._not_found(scope)(scope, receive, send)
        scope[ROUTE_KEY] = path = found.path
        if found.value is not None:
            try:
                principal = self._authentication.principal(scope["headers"])
                if found.value not in principal.scopes:
                    self._check_closed(principal, path, found.value)
                scope[SCOPE_KEY] = principal
                if principal.limits is not None and not self._limits.take_at_once(principal):
                    return self._wait(principal, scope, receive, send)
            except ServiceError as error:
                return service_problem(error)(scope, receive, send)
        return self._app(scope, receive, send)

    async def _wait(self, principal: Principal, scope: Scope, receive: Receive, send: Send) -> None:
        """Waits for a token of the principal's key; passes the request on, or answers 429."""
        try:
            await self._limits.take(principal)
        except ServiceError as error:
            await service_problem(error)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _check_closed(self, principal: Principal, path: str, needed: principals.Scope) -> None:
        """Raises an error for a request without the scope `needed`, unless its route is open.

        The routes in OPEN_ON_LOOPBACK are open while the service has no keys and listens only on
        loopback. `path`: path template of the route.

        Raises:
            UnauthorizedError: the request has no key, and the service has keys.
            ForbiddenError: the key lacks the scope, or the service has no keys.
        """
        if not (self._are_items_open and path in OPEN_ON_LOOPBACK):
            raise self._refusal(principal, needed)

    def _refusal(self, principal: Principal, needed: principals.Scope) -> ServiceError:
        if principal.key_id:
            return ForbiddenError(f"this key lacks the scope `{needed}`")
        if self._authentication.has_keys:
            return UnauthorizedError(
                f"send a key with scope `{needed}`: `Authorization: Bearer ID.SECRET`"
            )
        missing = "ADMIN_KEY" if needed is principals.Scope.ADMIN else "KEYS_FILE"
        return ForbiddenError(
            f"this route is closed: the service has no {missing}; start it with one"
        )

    def _not_found(self, scope: Scope) -> Response:
        is_path = self._routes.has_path(scope["path"])
        status = HTTPStatus.METHOD_NOT_ALLOWED if is_path else HTTPStatus.NOT_FOUND
        return http_problem(Request(scope), HTTPException(status))


# A coroutine, because FastAPI would run an ordinary function in a thread.
async def get_principal(request: Request) -> Principal:
    """FastAPI dependency: returns the principal of a request."""
    principal: Principal = request.scope[SCOPE_KEY]
    return principal


PrincipalDep = Annotated[Principal, Depends(get_principal)]
