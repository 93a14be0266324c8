"""Writes docs/reference/rest.md: every route of the service, its parameters and bodies."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from handbook.reference.example_service import example_service
from handbook.reference.json_schema import field_rows, one_line, table, type_in_words
from handbook.reference.service_facts.headers import answer_header_rows, request_header_rows
from service.api.costs import COSTS
from service.api.scopes import OPEN, SCOPES
from service.reason_phrases import reason_phrase

INTRODUCTION = """\
# REST

Bodies are JSON. The [guide](../rest.md) shows the routes in use, and [access](../access.md) tests
each of them with each kind of key. A running service has this reference at `/docs`, to try it. A
route with a *scope* needs an API key with it, if the service has keys. The *work* of a route is a
kind of the table in [operations](../operations.md#production). Refusals are
[problems](problems.md).

`make reference` writes this page from the service's OpenAPI schema.
"""
PARAMETERS = ("parameter", "in", "allowed", "default", "meaning")
FIELDS = ("field", "allowed", "default", "meaning")


def page() -> str:
    """Returns the text of the page."""
    schema, pages = example_service().openapi, example_service().pages
    described = {
        f"{verb.upper()} {path}": operation
        for path, verbs in schema["paths"].items()
        for verb, operation in verbs.items()
    }
    overview = table(("route", "scope", "work", "what it does"), _overview(pages | described))
    sent = table(("header", "routes", "meaning"), request_header_rows())
    answered = table(("header", "answers", "meaning"), answer_header_rows(schema))
    routes = "\n".join(_route(route, each) for route, each in described.items())
    bodies = "\n".join(_body(name, each) for name, each in _bodies(schema))
    headers = f"## Headers of requests\n\n{sent}\n\n## Headers of answers\n\n{answered}\n"
    return f"{INTRODUCTION}\n{overview}\n\n{headers}\n{routes}\n## Bodies\n\n{bodies}"


def _overview(described: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    for route, scope in SCOPES.items():
        summary = one_line(described.get(route, {}).get("description", "")).partition(". ")[0]
        who = "" if scope is OPEN else scope.value
        yield f"`{route}`", who, COSTS[route].kind, summary.removesuffix(".")


def _route(route: str, operation: Mapping[str, Any]) -> str:
    lines = [f"## {route}\n", f"{one_line(operation.get('description', ''))}\n"]
    if parameters := operation.get("parameters"):
        lines.append(f"{table(PARAMETERS, _parameter_rows(parameters))}\n")
    if body := operation.get("requestBody"):
        lines.append(f"Body: {_content(body)}{_described(body)}.\n")
    lines += [f"Answers: {'; '.join(_answers(operation['responses']))}.\n"]
    return "\n".join(lines)


def _parameter_rows(parameters: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[str]]:
    for each in parameters:
        field = {**each["schema"], "description": each.get("description", "")}
        required = [each["name"]] if each.get("required") else []
        schema = {"properties": {each["name"]: field}, "required": required}
        for name, allowed, default, meaning in field_rows(schema):
            yield name, each["in"], allowed, default, meaning


def _answers(responses: Mapping[str, Any]) -> Iterator[str]:
    for status, response in sorted(responses.items()):
        answer = _content(response) or "no body"
        if "[Problem]" in answer:
            answer = reason_phrase(int(status))
        yield f"{status} {answer}"


def _described(body: Mapping[str, Any]) -> str:
    """Returns the description of a body after a colon; empty if it has none."""
    description = one_line(body.get("description", ""))
    return f": {description}" if description else ""


def _content(described: Mapping[str, Any]) -> str:
    schemas = [each.get("schema", {}) for each in described.get("content", {}).values()]
    return " or ".join(type_in_words(each) for each in schemas)


def _bodies(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields name and schema of each body, in alphabetical order."""
    yield from sorted(schema["components"]["schemas"].items())


def _body(name: str, schema: Mapping[str, Any]) -> str:
    head = f"### {name}\n\n{one_line(schema.get('description', ''))}\n"
    if not schema.get("properties"):
        return f"{head}\n{type_in_words(schema)}\n"
    return f"{head}\n{table(FIELDS, field_rows(schema))}\n"
