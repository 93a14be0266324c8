"""Fast lanes: a shorter way to the handlers of the busiest routes.

FastAPI takes longer to route a request and to solve its parameters than the student takes to rank.
A lane reads the common form of such a request itself: a JSON body of known length, no encoded path
and only simple query parameters. It takes path, parameters, body model and limits from the route
that FastAPI serves, and calls the same handler. Every other request, and every request with
something wrong in it, is left to FastAPI, so that errors are worded in one place.

`lane_rules` refuses routes that do anything that a lane would skip.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Never, Self

from fastapi import FastAPI, Request, Response
from fastapi.routing import RouteContext, iter_route_contexts
from pydantic import TypeAdapter, ValidationError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.body_limit import MAX_BODY_BYTES, BodyLimit
from service.http.ids_in_paths import EncodedPath
from service.http.lane_rules import FastLaneError, check_route

Provided = Mapping[Callable[..., Any], Callable[[Scope], Any]]
"""By dependency: a function that gets the dependency's value from the scope of a request."""

HONOURED = frozenset({BodyLimit, EncodedPath})
"""Middlewares whose rules lanes keep: bodies have the same limit, encoded paths are passed on."""

# Only values that are the same before and after URL decoding.
_QUERY_PARAMETER = re.compile(rb"(\w+)=([\w.-]+)")


class FastLane:
    """A `POST` route of the application, whose common form of request is answered without FastAPI.

    Attributes:
        max_body_bytes: the longest body that the route takes.
    """

    def __init__(self, route: RouteContext, provided: Provided) -> None:
        """Raises FastLaneError if `route` does anything that a lane would skip."""
        check_route(route, provided)
        dependant = route.dependant
        (body,) = dependant.body_params
        self.max_body_bytes = min(MAX_BODY_BYTES, route.max_body_size or MAX_BODY_BYTES)
        self._route = route.original_route
        self._handler: Callable[..., Any] = dependant.call
        self._path_regex: re.Pattern[str] = route.path_regex
        self._in_path = [_Parameter.of(each) for each in dependant.path_params]
        self._in_query = [_Parameter.of(each) for each in dependant.query_params]
        self._body_name, self._body_model = body.name, body.field_info.annotation
        self._provided = {
            each.name: provided[each.call] for each in dependant.dependencies if each.name
        }

    def match(self, path: str) -> re.Match[str] | None:
        """Matches `path` with the path of the route."""
        return self._path_regex.match(path)

    def arguments(self, scope: Scope, path: re.Match[str], body: bytes) -> dict[str, Any] | None:
        """Returns the arguments of the handler, or None for a request that FastAPI has to read."""
        try:
            arguments = self._parameters(path, scope["query_string"])
            arguments[self._body_name] = self._body_model.model_validate_json(body)
        except (_UncommonRequestError, ValidationError):
            return None
        for name, provide in self._provided.items():
            arguments[name] = provide(scope)
        return arguments

    async def answer(self, scope: Scope, arguments: Mapping[str, Any]) -> Response:
        """Calls the handler; the application's exception handlers make answers of its errors."""
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
        arguments = {each.name: each.validate(path[each.alias]) for each in self._in_path}
        given = _query_parameters(query)
        for each in self._in_query:
            value = given.pop(each.alias, None)
            arguments[each.name] = each.default() if value is None else each.validate(value)
        if given:
            raise _UncommonRequestError
        return arguments


class FastLanes:
    """ASGI middleware: answers requests that a lane can read, and passes on all others."""

    def __init__(self, app: ASGIApp, lanes: Sequence[FastLane]) -> None:
        self._app = app
        self._lanes = lanes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reads the body of a request that has a lane; hands it on if the lane cannot read it."""
        if scope["type"] == "http" and scope["method"] == "POST":
            for lane in self._lanes:
                if (path := lane.match(scope["path"])) and _is_common(scope, lane.max_body_bytes):
                    await self._enter(lane, path, scope, receive, send)
                    return
        await self._app(scope, receive, send)

    async def _enter(
        self, lane: FastLane, path: re.Match[str], scope: Scope, receive: Receive, send: Send
    ) -> None:
        message = await _whole_body(receive)
        arguments = lane.arguments(scope, path, message.get("body", b""))
        if arguments is None:
            await self._app(scope, _replayed(message, receive), send)
            return
        response = await lane.answer(scope, arguments)
        await response(scope, receive, send)


def open_lane(app: FastAPI, handler: Callable[..., Any], provided: Provided) -> FastLane:
    """Makes a lane of the route of `app` that calls `handler`.

    The route is the one that the application serves: with the dependencies of the application and
    of every router that includes it.

    Raises:
        FastLaneError: there is no such route, or it does something that a lane would skip.
    """
    for route in iter_route_contexts(app.routes):
        if route.endpoint is handler:
            return FastLane(route, provided)
    raise FastLaneError(f"no route calls {handler.__qualname__}: remove its lane")


class _UncommonRequestError(Exception):
    """A request has parameters that FastAPI has to read."""


@dataclass(frozen=True, slots=True)
class _Parameter:
    """A parameter of the handler that a path or a query gives.

    Attributes:
        name: in the handler.
        alias: in the path or the query.
        validate: converts the text; raises ValidationError.
        default: gives the value of a parameter that is missing, or raises _UncommonRequestError.
    """

    name: str
    alias: str
    validate: Callable[[str], Any]
    default: Callable[[], Any]

    @classmethod
    def of(cls, field: Any) -> Self:
        """Makes it of FastAPI's `ModelField`, whose own `validate` is slow: it words errors."""
        adapter: TypeAdapter[Any] = field._type_adapter
        default = _refuse if field.field_info.is_required() else field.get_default
        return cls(field.name, field.alias, adapter.validator.validate_python, default)


def _refuse() -> Never:
    raise _UncommonRequestError


def _is_common(scope: Scope, max_body_bytes: int) -> bool:
    """Returns whether a request has a JSON body of known length and a path without encoding.

    Dependencies that are overridden, as tests do, are FastAPI's to solve.
    """
    length = -1
    is_json = False
    for name, value in scope["headers"]:
        if name == b"content-type":
            is_json = value == b"application/json"
        elif name == b"content-length":
            length = int(value) if value.isdigit() else -1
    is_encoded = b"%" in scope.get("raw_path", b"%")
    is_overridden = bool(scope["app"].dependency_overrides)
    return is_json and 0 <= length <= max_body_bytes and not is_encoded and not is_overridden


def _query_parameters(query: bytes) -> dict[str, str]:
    """Returns the parameters by name; raises _UncommonRequestError if any is encoded or twice."""
    parameters: dict[str, str] = {}
    for part in query.split(b"&") if query else ():
        parameter = _QUERY_PARAMETER.fullmatch(part)
        if parameter is None or (name := parameter[1].decode()) in parameters:
            raise _UncommonRequestError
        parameters[name] = parameter[2].decode()
    return parameters


def _exception_handler(app: FastAPI, error: Exception) -> Callable[..., Any] | None:
    """Returns the handler that Starlette would call: by status code, else by the nearest class.

    The handler of Exception is left to ServerErrorMiddleware, which also raises the error again.
    """
    classes = (each for each in type(error).__mro__ if each is not Exception)
    handlers = app.exception_handlers
    keys = (getattr(error, "status_code", None), *classes)
    return next((handlers[each] for each in keys if each in handlers), None)


async def _whole_body(receive: Receive) -> Message:
    """Receives the body as one message, or the message that the client has gone."""
    message = await receive()
    if not message.get("more_body", False):
        return message
    parts = [message.get("body", b"")]
    while message.get("more_body", False):
        message = await receive()
        parts.append(message.get("body", b""))
    return {**message, "body": b"".join(parts)}


def _replayed(message: Message, receive: Receive) -> Receive:
    """Returns a `receive` that gives `message` once more, then what follows."""
    first = [message]

    async def receive_again() -> Message:
        return first.pop() if first else await receive()

    return receive_again
