"""The OpenAPI schema of all routes: examples, headers, limits."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from service.app import create_app
from service.settings import Settings
from service.teacher.agreement import agreement

Node = dict[str, Any]
FILMS = Path(__file__).parents[3] / "assets/movielens/bundle/items.jsonl"
SCHEMA: Node = create_app(Settings()).openapi()
OPERATIONS: dict[str, Node] = {
    f"{verb} {path}": operation
    for path, verbs in SCHEMA["paths"].items()
    for verb, operation in verbs.items()
}

of_every_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)


def contents(operation: Node) -> Iterator[tuple[str, Node]]:
    """Yields request body and answers, with `request` or their status."""
    bodies = {"request": operation.get("requestBody", {}), **operation["responses"]}
    for name, body in bodies.items():
        for media in body.get("content", {}).values():
            yield name, media


def example_values(media: Node) -> list[Any]:
    return [example["value"] for example in media["examples"].values()]


def validation_error(value: object, schema: Node) -> str | None:
    """The error of validating `value`; None if it is valid."""
    try:
        jsonschema_rs.validate(schema | {"components": SCHEMA["components"]}, value)
    except jsonschema_rs.ValidationError as error:
        return error.message
    return None


def inside(node: object) -> Iterator[Node]:
    """All objects in a JSON value."""
    if isinstance(node, dict):
        yield node
    if isinstance(node, dict | list):
        for each in node.values() if isinstance(node, dict) else node:
            yield from inside(each)


@of_every_operation
def test_every_body_every_answer_and_every_error_has_an_example(operation: Node) -> None:
    for name, media in contents(operation):
        assert media.get("examples"), name


@of_every_operation
def test_every_example_keeps_to_its_own_schema(operation: Node) -> None:
    for name, media in contents(operation):
        branches = media["schema"].get("anyOf", [media["schema"]])
        for value, schema in zip(example_values(media), branches, strict=True):
            assert validation_error(value, schema) is None, name
    for parameter in operation.get("parameters", []):
        assert "example" in parameter or not parameter["required"]
        if "example" in parameter:
            assert validation_error(parameter["example"], parameter["schema"]) is None


@of_every_operation
def test_every_example_has_only_fields_of_its_schema(operation: Node) -> None:
    for _, media in contents(operation):
        for name, example in media["examples"].items():
            if name != "text":
                fields = SCHEMA["components"]["schemas"][name]["properties"]
                assert set(example["value"]) <= set(fields)


@of_every_operation
def test_the_example_of_an_error_has_its_status_and_a_detail(operation: Node) -> None:
    for status, media in contents(operation):
        for value in example_values(media) if status[0] in "45" else ():
            assert (str(value["status"]), bool(value["detail"])) == (status, True)
            assert value["title"] == operation["responses"][status]["description"]


@of_every_operation
def test_the_example_of_a_refused_request_names_a_field_that_the_route_has(
    operation: Node,
) -> None:
    if "422" not in operation["responses"]:
        return
    names = {each["name"] for each in operation.get("parameters", [])}
    for name, media in contents(operation):
        if name == "request":
            reference = media["schema"]["$ref"].rpartition("/")[2]
            names |= set(SCHEMA["components"]["schemas"][reference]["properties"])
        if name == "422":
            (problem,) = example_values(media)
            (error,) = problem["errors"]
            assert error["field"].partition("[")[0] in names
            assert problem["detail"] == f"{error['field']}: {error['message']}"


def test_every_film_of_an_example_is_the_same_in_the_shipped_bundle() -> None:
    lines = FILMS.read_text(encoding="utf-8").splitlines()
    films = {film["item_id"]: film for film in map(json.loads, lines)}
    examples = [media["examples"] for each in OPERATIONS.values() for _, media in contents(each)]
    named = [each for each in inside(examples) if {"item_id", "title"} <= set(each)]
    assert len(named) > 20
    for each in named:
        if each["item_id"] != "new-1":
            film = films[each["item_id"]]
            assert {key: each[key] for key in film if key in each}.items() <= film.items()


def test_the_example_of_a_comparison_has_the_agreement_of_its_lists() -> None:
    ((_, media), *_) = [
        each for each in contents(OPERATIONS["post /v1/compare"]) if each[0] == "200"
    ]
    (example,) = example_values(media)
    student, teacher = (
        [item["item_id"] for item in example[side]["items"]] for side in ("student", "teacher")
    )
    result = agreement(student, teacher)
    assert (example["overlap"], example["rank_correlation"]) == pytest.approx(
        (result.overlap, result.rank_correlation)
    )


@of_every_operation
def test_every_answer_documents_the_id_of_its_request(operation: Node) -> None:
    for response in operation["responses"].values():
        assert "X-Request-ID" in response["headers"]


def test_the_maximum_of_k_is_that_of_the_settings() -> None:
    schema = create_app(Settings(max_k=70)).openapi()
    limits = [
        parameter["schema"]["maximum"]
        for verbs in schema["paths"].values()
        for operation in verbs.values()
        for parameter in operation.get("parameters", [])
        if parameter["name"] == "k"
    ]
    bodies = schema["components"]["schemas"]
    queries = ("RecommendationQuery", "RecommendationRequest", "PopularItemsRequest")
    limits += [bodies[name]["properties"]["k"]["maximum"] for name in queries]
    assert limits == [70] * 7
