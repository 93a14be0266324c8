"""Fast lanes: a shorter way to the handlers of the busiest routes.

FastAPI takes longer to route a request and to resolve its parameters than the student takes to
rank. A lane parses the common form of a request itself: a JSON body of known length, a path without
percent-encoding, and query parameters without encoding or repetition. The lane takes path,
parameters, body model and limits from the route that FastAPI serves, and calls the same handler.
FastAPI answers all other requests and all invalid ones, so that error messages are written in one
place.

`lane_rules` refuses a lane that would skip any work that FastAPI does for its route.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Never, Self

from fastapi import FastAPI, Request, Response
from fastapi.routing import RouteContext, iter_route_contexts
from pydantic import TypeAdapter, ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from service.access.route_table import ROUTE_KEY
from service.http.body_limit import MAX_BODY_BYTES, BodyLimit, replayed, whole_body
from service.http.body_structure import has_too_much_structure
from service.http.lanes.lane_rules import FastLaneError, check_first, check_route

Provided = Mapping[Callable[..., Any], Callable[[Scope], Any]]
"""Maps a dependency to a function that gets its value from the ASGI scope of a request."""

HONOURED = frozenset({BodyLimit})
"""Middlewares whose rules a lane enforces itself, so that requests in a lane can skip them."""

# Matches only values that URL decoding would not change.
_QUERY_PARAMETER = re.compile(rb"(\w+)=([\w.-]+)")

_NUM_CACHED = 256
_MAX_CACHED_BYTES = 256
"""Maximum number of bytes in a query string that a lane reads and caches."""

_LENGTH_DIGITS = 7
"""Maximum number of digits in a Content-Length that a lane accepts."""


class FastLane:
    """Answers common requests to one `POST` route without FastAPI.

    Attributes:
        path: path template of the route.
        max_body_bytes: maximum number of bytes in a body.
    """

    def __init__(
        self, route: RouteContext, provided: Provided, max_body_bytes: int = MAX_BODY_BYTES
    ) -> None:
        """Makes the lane of `route`.

        Args:
            route: the route as FastAPI serves it.
            provided: the dependencies of the route that the lane can resolve, each with a function
                that returns its value.
            max_body_bytes: maximum length of a body in bytes; a lower limit of the route takes
                precedence.

        Raises:
            FastLaneError: the lane would skip work that FastAPI does for the route.
        """
        check_route(route, provided)
        dependant = route.dependant
        (body,) = dependant.body_params
        self.max_body_bytes = min(max_body_bytes, route.max_body_size or MAX_BODY_BYTES)
        self.path = route.path or ""
        self._route = route.original_route
        self._handler: Callable[..., Any] = dependant.call
        self._path_regex: re.Pattern[str] = route.path_regex
        self._in_path = [_Parameter.of(each) for each in dependant.path_params]
        self._in_query = [_Parameter.of(each) for each in dependant.query_params]
        self._body_name, self._body_model = body.name, body.field_info.annotation
        self._query_arguments = lru_cache(_NUM_CACHED)(self._parsed_query)
        self._provided = {
            each.name: provided[each.call] for each in dependant.dependencies if each.name
        }

    def match(self, path: str) -> re.Match[str] | None:
        """Matches a path with the path template of the route; returns None if they do not match."""
        return self._path_regex.match(path)

    def is_for(self, scope: Scope) -> bool:
        """Returns whether a request's headers and path have the form that the lane can parse."""
        return _is_common(scope, self.max_body_bytes)

    def arguments(self, scope: Scope, path: re.Match[str], body: bytes) -> dict[str, Any] | None:
        """Returns the handler's arguments by name; None if FastAPI must handle the request.

        FastAPI must handle a request that is invalid or that the lane cannot parse.

        Args:
            scope: the ASGI scope of the request.
            path: the match that `match` returned.
            body: the whole body.
        """
        if has_too_much_structure(body):
            return None
        try:
            arguments = self._parameters(path, scope["query_string"])
            arguments[self._body_name] = self._body_model.model_validate_json(body)
        except (_UncommonRequestError, ValidationError):
            return None
        for name, provide in self._provided.items():
            arguments[name] = provide(scope)
        return arguments

    async def answer(self, scope: Scope, arguments: Mapping[str, Any]) -> Response:
        """Calls the handler with `arguments`, which the method `arguments` returned.

        Returns the handler's response. If the handler raises an error, the application's exception
        handler makes the response. An error without an exception handler is raised again.
        """
        scope["route"] = self._route
        try:
            response: Response = await self._handler(**arguments)
        except Exception as error:
            handler = _exception_handler(scope["app"], error)
            if handler is None:
                raise
            response = await handler(Request(scope), error)
        return response

    def _parameters(self, path: re.Match[str], query: bytes) -> dict[str, Any]:
        if len(query) > _MAX_CACHED_BYTES:
            raise _UncommonRequestError
        arguments = {each.name: each.validate(path[each.alias]) for each in self._in_path}
        arguments.update(self._query_arguments(query))
        return arguments

    def _parsed_query(self, query: bytes) -> Mapping[str, Any]:
        """Parses a query string; returns the handler's arguments that it contains, by name.

        Results are cached, because most requests have one of a few query strings.

        Raises:
            _UncommonRequestError: FastAPI must parse the query string.
            ValidationError: a value is invalid.
        """
        arguments: dict[str, Any] = {}
        given = _query_parameters(query)
        for each in self._in_query:
            value = given.pop(each.alias, None)
            arguments[each.name] = each.default() if value is None else each.validate(value)
        if given:
            raise _UncommonRequestError
        return arguments


class FastLanes:
    """ASGI middleware: answers common requests in the fast lanes of their routes.

    All other requests are passed on. `AuthorizeByKey` must come before this middleware, because
    `AuthorizeByKey` finds the route of each request.
    """

    def __init__(self, app: ASGIApp, lanes: Sequence[FastLane]) -> None:
        self._app = app
        self._lanes = {each.path: each for each in lanes}

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answers a request that the lane of its route can parse; passes on all others."""
        if scope["type"] == "http" and scope["method"] == "POST":
            lane = self._lanes.get(scope[ROUTE_KEY])
            if lane and (path := lane.match(scope["path"])) and lane.is_for(scope):
                return self._enter(lane, path, scope, receive, send)
        return self._app(scope, receive, send)

    async def _enter(
        self, lane: FastLane, path: re.Match[str], scope: Scope, receive: Receive, send: Send
    ) -> None:
        message = await whole_body(receive)
        # A message without a body says that the client left before it had sent the whole body.
        arguments = lane.arguments(scope, path, message["body"]) if "body" in message else None
        if arguments is None:
            await self._app(scope, replayed(message, receive), send)
            return
        response = await lane.answer(scope, arguments)
        await response(scope, receive, send)


def open_lane(
    app: FastAPI,
    handler: Callable[..., Any],
    provided: Provided,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> FastLane:
    """Makes the fast lane for the route of `app` whose handler is `handler`.

    `provided`: the dependencies that the lane can resolve, each with a function that returns its
    value. FastAPI answers requests whose body has more than `max_body_bytes`. The lane uses the
    route as the application serves it: with the dependencies of the application and of every router
    that includes the route.

    Raises:
        FastLaneError: there is no such route, or a lane would skip work that FastAPI does for the
            route.
    """
    before: list[RouteContext] = []
    for route in iter_route_contexts(app.routes):
        if route.endpoint is handler:
            check_first(route, before)
            return FastLane(route, provided, max_body_bytes)
        before.append(route)
    raise FastLaneError(
        f"no route calls {handler.__qualname__}: remove its lane (service/api/lanes.py)"
    )


class _UncommonRequestError(Exception):
    """A query string that a lane leaves to FastAPI, such as an encoded or a very long one."""


@dataclass(frozen=True, slots=True)
class _Parameter:
    """A parameter of the handler whose value comes from the path or the query string.

    Attributes:
        name: name of the parameter in the handler.
        alias: name of the parameter in the path or the query string.
        validate: converts the text to the parameter's type; raises ValidationError.
        default: returns the value if the query string lacks the parameter; raises
            _UncommonRequestError if the parameter is required.
    """

    name: str
    alias: str
    validate: Callable[[str], Any]
    default: Callable[[], Any]

    @classmethod
    def of(cls, field: Any) -> Self:
        """Makes a parameter from a `ModelField` of FastAPI.

        The field's own `validate` is not used, because it is slow: it prepares error messages.
        """
        adapter: TypeAdapter[Any] = field._type_adapter
        default = _refuse if field.field_info.is_required() else field.get_default
        return cls(field.name, field.alias, adapter.validator.validate_python, default)


def _refuse() -> Never:
    raise _UncommonRequestError


def _is_common(scope: Scope, max_body_bytes: int) -> bool:
    """Returns whether a request's headers and path have the form that a lane can parse.

    That is a JSON body of known, allowed length and a path without percent-encoding. Returns False
    if Content-Type or Content-Length is sent twice, because FastAPI decides which header counts.
    Returns False if dependencies are overridden, as in tests, because only FastAPI knows the
    replacements.
    """
    length, media_type = b"", b""
    for name, value in scope["headers"]:
        if name == b"content-type":
            if media_type:
                return False
            media_type = value
        elif name == b"content-length":
            if length:
                return False
            length = value
    if media_type != b"application/json" or not length.isdigit() or len(length) > _LENGTH_DIGITS:
        return False
    is_encoded = b"%" in scope.get("raw_path", b"%")
    is_overridden = bool(scope["app"].dependency_overrides)
    return int(length) <= max_body_bytes and not is_encoded and not is_overridden


def _query_parameters(query: bytes) -> dict[str, str]:
    """Splits a query string into its parameters; returns their values as strings, by name.

    Raises:
        _UncommonRequestError: a parameter is encoded, has no value or is repeated.
    """
    parameters: dict[str, str] = {}
    for part in query.split(b"&") if query else ():
        parameter = _QUERY_PARAMETER.fullmatch(part)
        if parameter is None or (name := parameter[1].decode()) in parameters:
            raise _UncommonRequestError
        parameters[name] = parameter[2].decode()
    return parameters


def _exception_handler(app: FastAPI, error: Exception) -> Callable[..., Any] | None:
    """Returns the exception handler that Starlette would call for `error`; None if there is none.

    Starlette looks for the error's status code first, then for its class and the base classes. The
    handler of Exception itself is left to Starlette's ServerErrorMiddleware, which calls it and
    then raises the error again.
    """
    classes = (each for each in type(error).__mro__ if each is not Exception)
    handlers = app.exception_handlers
    keys = (getattr(error, "status_code", None), *classes)
    return next((handlers[each] for each in keys if each in handlers), None)
