"""Completes FastAPI's OpenAPI schema: headers, problems, examples and the maximum of `k`."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from service.access.principal import Scope
from service.api.batches import events as event_batches
from service.api.batches import items as item_batches
from service.api.openapi import examples, problem_examples
from service.api.problems import HEADERS as PROBLEM_HEADERS
from service.api.problems import FieldProblem, detail_of, documented, problem, problem_schemas
from service.api.scopes import SCOPES

Node = dict[str, Any]

_REQUEST_ID = "X-Request-ID"
_TIMING = "Server-Timing"
_HEADERS: Mapping[str, tuple[str, str]] = {
    _REQUEST_ID: (
        "id of the request in the service's logs: the `X-Request-ID` of the request if it is well "
        "formed, else a new one",
        "7153b1a473c4-0",
    ),
    _TIMING: (
        "time of each part of the request and total time, in milliseconds",
        "history;dur=0.142, infer;dur=0.214, total;dur=0.485",
    ),
    "Retry-After": ("seconds to wait before sending the request again", "1"),
    "WWW-Authenticate": ("authentication scheme for API keys", "Bearer"),
}
_BEARER = "HTTPBearer"
_SECURITY_SCHEMES: Node = {
    _BEARER: {
        "type": "http",
        "scheme": "bearer",
        "description": "a key of the service, `ID.SECRET`, or its ADMIN_KEY",
    }
}


def _references(*headers: str) -> Node:
    return {each: {"$ref": f"#/components/headers/{each}"} for each in headers}


TIMED: dict[int | str, Node] = {HTTPStatus.OK.value: {"headers": _references(_TIMING)}}
"""The OpenAPI `responses` of a route whose answers have a `Server-Timing` header."""


def _refusals() -> Node:
    refusals = documented(
        HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS
    )
    return {str(status): response for status, response in refusals.items()}


def complete(schema: Node, max_k: int) -> None:
    """Adds headers, problem schemas, examples and the maximum of `k` to `schema`, in place.

    Args:
        schema: the OpenAPI schema of all routes, as FastAPI makes it.
        max_k: the setting MAX_K.
    """
    components = schema["components"]
    components["schemas"].update(problem_schemas())
    components["schemas"].update(event_batches.BODY.request_schemas())
    components["schemas"].update(item_batches.BODY.request_schemas())
    components["headers"] = {name: _header(*each) for name, each in _HEADERS.items()}
    components["securitySchemes"] = _SECURITY_SCHEMES
    for path, verbs in schema["paths"].items():
        for verb, operation in verbs.items():
            _add_access(operation, SCOPES[f"{verb.upper()} {path}"])
            _complete_operation(operation, components["schemas"])
    for schema_of_k in _schemas_of_k(schema):
        schema_of_k["maximum"] = max_k


def _operations(schema: Node) -> Iterator[Node]:
    for verbs in schema["paths"].values():
        yield from verbs.values()


def _add_access(operation: Node, scope: Scope | None) -> None:
    """Documents in `operation` the key that its route needs, and the answers without a valid key.

    `scope`: the scope that the route needs; None: the route needs no key.
    """
    if scope is None:
        return
    # `{}` beside the scheme means that the key is optional: the service may let everybody in.
    optional: list[Node] = [] if scope is Scope.ADMIN else [{}]
    operation["security"] = [*optional, {_BEARER: []}]
    operation["responses"].update(_refusals())


def _schemas_of_k(schema: Node) -> Iterator[Node]:
    """Yields the schema of each parameter and each body field with the name `k`."""
    for operation in _operations(schema):
        parameters = operation.get("parameters", [])
        yield from (each["schema"] for each in parameters if each["name"] == "k")
    for body in schema["components"]["schemas"].values():
        if "k" in body.get("properties", {}):
            yield body["properties"]["k"]


def _header(description: str, example: str) -> Node:
    return {
        "description": description,
        "required": True,
        "schema": {"type": "string"},
        "example": example,
    }


def _complete_operation(operation: Node, schemas: Node) -> None:
    for parameter in operation.get("parameters", []):
        if parameter["name"] in examples.PARAMETERS:
            parameter["example"] = examples.PARAMETERS[parameter["name"]]
    if "requestBody" in operation:
        _add_body_examples(operation["requestBody"])
    for code, response in operation["responses"].items():
        status = HTTPStatus(int(code))
        names = [_REQUEST_ID, *PROBLEM_HEADERS.get(status, ())]
        response["headers"] = response.get("headers", {}) | _references(*names)
        if status < HTTPStatus.BAD_REQUEST:
            _add_body_examples(response)
        else:
            _add_examples(response, {"Problem": _problem(status, operation, schemas)})


def _add_body_examples(body: Node) -> None:
    """Adds to `body`, in place, one example for each schema that the body can have.

    `body`: the OpenAPI description of a request or response body.
    """
    for media in body.get("content", {}).values():
        schema = media["schema"]
        names = [_name(each) for each in schema.get("anyOf", [schema]) if "$ref" in each]
        _add_examples(
            body,
            {name: examples.BODIES[name] for name in names} or {"text": examples.TEXT},
        )


def _add_examples(body: Node, values: Mapping[str, Any]) -> None:
    for media in body["content"].values():
        media["examples"] = {name: {"value": value} for name, value in values.items()}


def _problem(status: HTTPStatus, operation: Node, schemas: Node) -> Node:
    """Returns an example body of the problem that `operation` answers with `status`.

    `schemas`: all schemas of the OpenAPI document, by name.
    """
    errors: list[FieldProblem] = []
    if status is HTTPStatus.UNPROCESSABLE_ENTITY:
        names = _fields(operation, schemas)
        errors = [next(error for name, error in problem_examples.FIELDS.items() if name in names)]
        detail = detail_of(errors)
    else:
        (tag,) = operation["tags"]
        detail = (
            problem_examples.DETAILS.get((status, tag)) or problem_examples.DETAILS_OF_ALL[status]
        )
    return problem(status, detail, errors).model_dump(mode="json")


def _fields(operation: Node, schemas: Node) -> set[str]:
    """Returns the names of the operation's parameters and of the fields of its request body.

    `schemas`: all schemas of the OpenAPI document, by name.
    """
    names = {each["name"] for each in operation.get("parameters", [])}
    if "requestBody" in operation:
        (media,) = operation["requestBody"]["content"].values()
        names |= set(schemas[_name(media["schema"])]["properties"])
    return names


def _name(reference: Node) -> str:
    name: str = reference["$ref"].rpartition("/")[2]
    return name
