"""Rules for fast lanes: a route may have a lane only if the lane skips no work of FastAPI.

A lane calls the handler of its route without FastAPI. So the lane must itself do the work that
FastAPI does around a handler: resolve dependencies, serialise an answer, apply a route class. If
the lane cannot do all of this work for its route, the application does not start. Otherwise a lane
could bypass a dependency that is added to its route, for example for authentication.
"""

import inspect
from collections.abc import Callable, Collection, Iterator, Sequence
from http import HTTPMethod, HTTPStatus
from typing import Any, get_type_hints

from fastapi import Response
from fastapi.datastructures import DefaultPlaceholder
from fastapi.params import Body
from fastapi.routing import APIRoute, RouteContext
from pydantic import BaseModel
from starlette.convertors import StringConvertor
from starlette.middleware import Middleware

_METHOD = HTTPMethod.POST
_INJECTED = (
    "request_param_name",
    "websocket_param_name",
    "http_connection_param_name",
    "response_param_name",
    "background_tasks_param_name",
    "security_scopes_param_name",
)
"""Attributes of FastAPI's `Dependant` that name a parameter which FastAPI itself fills."""


class FastLaneError(Exception):
    """A fast lane that would skip a middleware, or work that FastAPI does for its route."""


def check_route(route: RouteContext, provided: Collection[Callable[..., Any]]) -> None:
    """Raises FastLaneError if a lane would skip work that FastAPI does for `route`.

    Args:
        route: the route as the application serves it, with the dependencies of its routers.
        provided: dependencies whose values a lane can provide.
    """
    if unknown := [*_unknown_dependencies(route.dependant, provided), *_unknown_features(route)]:
        raise FastLaneError(
            f"{_METHOD} {route.path} has {', '.join(unknown)}, which a fast lane would skip: "
            "let the lane provide it, or remove the lane (service/api/lanes.py)"
        )


def check_first(route: RouteContext, before: Sequence[RouteContext]) -> None:
    """Raises FastLaneError if FastAPI would answer requests to `route` by a route before it.

    `before`: the routes that the application tries before `route`.
    """
    for each in before:
        pattern, methods = getattr(each, "path_regex", None), each.methods or {_METHOD}
        if pattern is not None and _METHOD in methods and pattern.match(route.path or ""):
            raise FastLaneError(
                f"{_METHOD} {route.path} has a fast lane, but FastAPI answers by {each.path}, "
                "which comes first: move it behind, or remove the lane (service/api/lanes.py)"
            )


def check_skipped(
    middlewares: Sequence[Middleware], lanes: object, honoured: Collection[object]
) -> None:
    """Raises FastLaneError if requests in a lane would skip a middleware that is not in `honoured`.

    Args:
        middlewares: the middlewares of the application, outermost first.
        lanes: the middleware that answers requests in lanes, which skip all later middlewares.
        honoured: middlewares whose rules the lanes enforce themselves.
    """
    classes: list[object] = [each.cls for each in middlewares]
    skipped = [each for each in classes[classes.index(lanes) + 1 :] if each not in honoured]
    if skipped:
        names = ", ".join(map(_name, skipped))
        raise FastLaneError(
            f"fast lanes would skip the middleware {names}: "
            "put it before them in service/app.py, or let the lanes enforce its rule (HONOURED)"
        )


# FastAPI's `Dependant` is not a public name, hence `Any`.
def _unknown_dependencies(
    dependant: Any, provided: Collection[Callable[..., Any]]
) -> Iterator[str]:
    """Yields a text for each dependency, and each parameter of one, that a lane cannot provide.

    Nested dependencies are included. `provided`: the dependencies that a lane can provide.
    """
    for each in dependant.dependencies:
        if each.call not in provided:
            yield f"the dependency {_name(each.call)}"
        for kind in ("path", "query", "header", "cookie", "body"):
            for parameter in getattr(each, f"{kind}_params"):
                yield f"the {kind} parameter {parameter.name} of {_name(each.call)}"
        yield from _unknown_dependencies(each, provided)


def _unknown_features(route: RouteContext) -> Iterator[str]:
    if type(route.original_route) is not APIRoute:
        yield f"the route class {_name(type(route.original_route))}"
    if route.methods != {_METHOD}:
        yield f"the methods {sorted(route.methods or ())}"
    if route.callbacks:
        yield "callbacks"
    yield from _unknown_answers(route)
    yield from _unknown_parameters(route)


def _unknown_answers(route: RouteContext) -> Iterator[str]:
    """Yields a description of each feature of a route that a lane would ignore in the answer.

    Examples are a response class and a handler that runs in a thread. A response model does not
    count if the handler returns a Response, because FastAPI then sends the Response unchanged.
    """
    if not inspect.iscoroutinefunction(route.endpoint):
        yield "a handler that runs in a thread"
    elif not _is_response(get_type_hints(route.endpoint).get("return")):
        yield "a response model to serialise by (its handler returns no Response)"
    if route.status_code not in (None, HTTPStatus.OK):
        yield f"the status code {route.status_code}"
    if not isinstance(route.response_class, DefaultPlaceholder):
        yield f"the response class {_name(route.response_class)}"


def _unknown_parameters(route: RouteContext) -> Iterator[str]:
    dependant = route.dependant
    for each in (*dependant.header_params, *dependant.cookie_params):
        yield f"the header or cookie parameter {each.name}"
    for attribute in _INJECTED:
        if name := getattr(dependant, attribute):
            yield f"the parameter {name}, which FastAPI injects"
    for name, convertor in route.param_convertors.items():
        if type(convertor) is not StringConvertor:
            yield f"a convertor for {name} in its path"
    if {each.alias for each in dependant.path_params} != set(route.param_convertors):
        yield "path parameters that its handler does not take"
    if not _is_one_model(dependant.body_params):
        yield "a body that is not one pydantic model"


def _is_one_model(body_params: Sequence[Any]) -> bool:
    """Returns whether the body is one pydantic model, with its fields at the JSON's top level."""
    if len(body_params) != 1:
        return False
    info = body_params[0].field_info
    is_model = isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)
    return is_model and type(info) is Body and not info.embed and not info.metadata


def _is_response(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Response)


def _name(thing: Any) -> str:
    return str(getattr(thing, "__qualname__", thing))
