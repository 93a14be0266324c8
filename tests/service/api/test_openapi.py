"""What OpenAPI says of all routes alike: examples, headers, limits."""

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
    """The body that it takes, each that it answers; by `request` and by status."""
    bodies = {"request": operation.get("requestBody", {}), **operation["responses"]}
    for name, body in bodies.items():
        for media in body.get("content", {}).values():
            yield name, media


def example_values(media: Node) -> list[Any]:
    return [example["value"] for example in media["examples"].values()]


def complaint(value: object, schema: Node) -> str | None:
    """What is wrong with `value`, if anything is."""
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
            assert complaint(value, schema) is None, name
    for parameter in operation.get("parameters", []):
        assert "example" in parameter or not parameter["required"]
        if "example" in parameter:
            assert complaint(parameter["example"], parameter["schema"]) is None


@of_every_operation
def test_every_example_holds_nothing_but_what_its_schema_names(operation: Node) -> None:
    for _, media in contents(operation):
        for name, example in media["examples"].items():
            if name != "text":
                fields = SCHEMA["components"]["schemas"][name]["properties"]
                assert set(example["value"]) <= set(fields)


@of_every_operation
def test_the_example_of_an_error_tells_its_status_and_why(operation: Node) -> None:
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


def test_every_film_of_an_example_is_one_of_the_shipped_bundle_as_it_stands_there() -> None:
    lines = FILMS.read_text(encoding="utf-8").splitlines()
    films = {film["item_id"]: film for film in map(json.loads, lines)}
    examples = [media["examples"] for each in OPERATIONS.values() for _, media in contents(each)]
    named = [each for each in inside(examples) if {"item_id", "title"} <= set(each)]
    assert len(named) > 20
    for each in named:
        if each["item_id"] != "new-1":
            film = films[each["item_id"]]
            assert {key: each[key] for key in film if key in each}.items() <= film.items()


def test_the_example_of_a_comparison_agrees_as_it_says() -> None:
    ((_, media), *_) = [
        each for each in contents(OPERATIONS["post /v1/compare"]) if each[0] == "200"
    ]
    (told,) = example_values(media)
    student, teacher = (
        [item["item_id"] for item in told[side]["items"]] for side in ("student", "teacher")
    )
    agreed = agreement(student, teacher)
    assert (told["overlap"], told["rank_correlation"]) == pytest.approx(
        (agreed.overlap, agreed.rank_correlation)
    )


@of_every_operation
def test_every_answer_documents_the_name_of_its_request(operation: Node) -> None:
    for response in operation["responses"].values():
        assert "X-Request-ID" in response["headers"]


def test_the_most_that_may_be_asked_for_is_the_one_of_the_settings() -> None:
    schema = create_app(Settings(max_k=70)).openapi()
    limits = [
        parameter["schema"]["maximum"]
        for verbs in schema["paths"].values()
        for operation in verbs.values()
        for parameter in operation.get("parameters", [])
        if parameter["name"] == "k"
    ]
    bodies = schema["components"]["schemas"]
    queries = ("RecommendationQuery", "RecommendationRequest")
    limits += [bodies[name]["properties"]["k"]["maximum"] for name in queries]
    assert limits == [70] * 5
