"""Finds the route of a request by method and path, before FastAPI routes it and reads its body.

A RouteTable holds the routes of the application in their order, each with a value such as a scope.
It finds the same route as FastAPI, because it matches the same patterns in the same order.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import httptools

ROUTE_KEY = "route_path"
"""Name of the entry of the ASGI scope that holds the path template of the request's route.

`AuthorizeByKey` stores it, such as `/v1/items/{item_id}`.
"""

V = TypeVar("V")

_NAMED_GROUP = re.compile(r"\(\?P<\w+>")


class RouteTableError(Exception):
    """A route of the application without a value in the table, or a value without a route."""


@dataclass(frozen=True)
class ServedRoute:
    """A route of the application.

    Attributes:
        path: path template, such as `/v1/items/{item_id}`.
        pattern: regular expression that matches the whole path of a request.
    """

    methods: Collection[str]
    path: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Found(Generic[V]):
    """The path template of the route that a request matches, and the value of that route."""

    path: str
    value: V


class RouteTable(Generic[V]):
    """Maps the method and path of a request to its route and to the route's value."""

    def __init__(self, routes: Iterable[ServedRoute], values: Mapping[str, V]) -> None:
        """Makes the table.

        Args:
            routes: all routes of the application, in their order.
            values: the value of each route, such as its scope, by the name of the route, such as
                `GET /v1/items/{item_id}`.

        Raises:
            RouteTableError: a route has no value, or a value belongs to no route.
        """
        found: dict[str, list[tuple[str, Found[V]]]] = {}
        missing, left = [], set(values)
        for route in routes:
            for method in sorted(route.methods):
                name = f"{method} {route.path}"
                left.discard(name)
                if name in values:
                    entry = (route.pattern, Found(route.path, values[name]))
                    found.setdefault(method, []).append(entry)
                else:
                    missing.append(name)
        if missing or left:
            raise RouteTableError(
                f"routes without a row in the table: {missing}; rows without a route: "
                f"{sorted(left)}; change the table (service/api/scopes.py)"
            )
        self._by_method = {method: _Matcher(entries) for method, entries in found.items()}

    def find(self, method: str, path: str) -> Found[V] | None:
        """Returns the first route that has `method` and matches `path`; None if there is none.

        `path`: percent-encoded, as the client sent it.
        """
        matcher = self._by_method.get(method)
        return matcher.find(path) if matcher else None

    def has_path(self, path: str) -> bool:
        """Returns whether a route of any method matches `path`, which is percent-encoded."""
        return any(each.find(path) for each in self._by_method.values())


def path_of(target: bytes) -> str:
    """Returns the path of a request's target, percent-encoded; the application finds the same one.

    A target can be a whole URL, and have a query and a fragment.
    """
    if target[:1] != b"/" or b"#" in target:
        try:
            target = httptools.parse_url(target).path or b""
        except httptools.HttpParserInvalidURLError:
            return ""  # uvicorn answers 400
    return target.partition(b"?")[0].decode("latin-1")


class _Matcher(Generic[V]):
    """Finds the first route of one method that matches a path.

    A route without path parameters is looked up in a dictionary, unless the pattern of an earlier
    route matches its path too. One regular expression finds all other routes; it tries their
    patterns in the order of the routes.
    """

    def __init__(self, entries: Iterable[tuple[str, Found[V]]]) -> None:
        self._fixed: dict[str, Found[V]] = {}
        self._found: list[Found[V]] = []
        patterns: list[str] = []
        for pattern, found in entries:
            is_first = not any(re.match(each, found.path) for each in patterns)
            if "{" not in found.path and is_first:
                self._fixed.setdefault(found.path, found)
                continue
            # The pattern's own groups capture nothing, so that `lastindex` is the route's number.
            patterns.append(f"({_NAMED_GROUP.sub('(?:', pattern)})")
            self._found.append(found)
        self._match = re.compile("|".join(patterns) or "(?!)").match

    def find(self, path: str) -> Found[V] | None:
        found = self._fixed.get(path)
        if found is None and (match := self._match(path)) and match.lastindex:
            return self._found[match.lastindex - 1]
        return found
