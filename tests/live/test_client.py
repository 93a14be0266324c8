"""Tests of the Python client against a running service and its OpenAPI schema."""

import inspect
import socket
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import httpx
import pytest

from recommender_client import (
    ApiRequest,
    AsyncClient,
    Client,
    RefusedError,
    answers,
    questions,
    service_questions,
)
from service.settings import Settings

if TYPE_CHECKING:
    from tests.live.conftest import Serve

MakeQuestion = Callable[..., ApiRequest[Any]]
Operation = tuple[str, str]
ANSWERS = {name: kind for name, kind in vars(answers).items() if is_typeddict(kind)}
JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null"}
MODULES = (questions.__name__, service_questions.__name__)
TYPE_KEYS = ("type", "items", "anyOf", "enum", "$ref", "additionalProperties")


@pytest.fixture(scope="module")
def url(serve: "Serve", films_bundle: Path) -> Iterator[str]:
    with serve(films_bundle, ADMIN_KEY="an admin key of the tests") as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(httpx.Client(base_url=url, trust_env=False)) as client:
        yield client


@pytest.fixture(scope="module")
def schema(url: str) -> dict[str, Any]:
    schema: dict[str, Any] = httpx.get(f"{url}/openapi.json", trust_env=False).json()
    return schema


@pytest.fixture(scope="module")
def operations(schema: dict[str, Any]) -> dict[Operation, dict[str, Any]]:
    """The OpenAPI operations by method and path."""
    return {
        (method.upper(), path): operation
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    }


@pytest.fixture(scope="module")
def functions() -> dict[Operation, list[MakeQuestion]]:
    """The functions of `questions` by the method and path of their request."""
    found: dict[Operation, list[MakeQuestion]] = defaultdict(list)
    for name, make in inspect.getmembers(questions, inspect.isfunction):
        if make.__module__ in MODULES and not name.startswith("_"):
            question = make(**dict.fromkeys(required_arguments(make), "1"))
            found[question.method, question.path].append(make)
    return found


def required_arguments(make: MakeQuestion) -> list[str]:
    parameters = inspect.signature(make).parameters.values()
    return [
        each.name
        for each in parameters
        if each.default is each.empty and each.kind is not each.VAR_KEYWORD
    ]


def arguments(make: MakeQuestion) -> set[str]:
    """Returns the names of all arguments, with those of `**name: Unpack[Fields]`."""
    names: set[str] = set()
    hints = get_type_hints(make)
    for each in inspect.signature(make).parameters.values():
        is_fields = each.kind is each.VAR_KEYWORD
        names |= set(get_type_hints(get_args(hints[each.name])[0])) if is_fields else {each.name}
    return names


def answer_type(make: MakeQuestion) -> type:
    kind: type = get_args(get_type_hints(make)["return"])[0]
    return kind


def body_fields(schema: dict[str, Any], operation: dict[str, Any]) -> set[str]:
    if "requestBody" not in operation:
        return set()
    reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    return set(schema["components"]["schemas"][reference.rpartition("/")[2]]["properties"])


def needs_admin(operation: dict[str, Any]) -> bool:
    """Whether a key is needed for each service; `{}` among the schemes makes it optional."""
    return {} not in operation.get("security", [{}])


def test_every_route_has_a_function(
    operations: dict[Operation, dict[str, Any]], functions: dict[Operation, list[MakeQuestion]]
) -> None:
    assert set(functions) == set(operations)


def test_every_field_of_every_request_is_an_argument(
    schema: dict[str, Any],
    operations: dict[Operation, dict[str, Any]],
    functions: dict[Operation, list[MakeQuestion]],
) -> None:
    for name, operation in operations.items():
        fields = {each["name"] for each in operation.get("parameters", [])}
        fields |= body_fields(schema, operation) | set(["admin_key"] * needs_admin(operation))
        assert set().union(*map(arguments, functions[name])) == fields, name


def test_every_answer_has_its_type(
    operations: dict[Operation, dict[str, Any]], functions: dict[Operation, list[MakeQuestion]]
) -> None:
    for name, operation in operations.items():
        assert {answer_type(make) for make in functions[name]} == set(
            documented_answers(operation)
        ), name


def documented_answers(operation: dict[str, Any]) -> Iterator[type | None]:
    if "204" in operation["responses"]:
        yield NoneType
        return
    (content,) = operation["responses"]["200"]["content"].values()
    for schema in content["schema"].get("anyOf", [content["schema"]]):
        yield ANSWERS[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else str


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_every_field_of_every_answer_is_in_its_type(schema: dict[str, Any], name: str) -> None:
    documented = schema["components"]["schemas"][name]
    fields = {field: type_schema(each) for field, each in documented["properties"].items()}
    assert {field: shape(hint) for field, hint in get_type_hints(ANSWERS[name]).items()} == fields
    assert ANSWERS[name].__required_keys__ == set(documented["required"])


def type_schema(schema: Any) -> Any:
    """Drops from a JSON schema what a type cannot express, such as descriptions and limits."""
    if isinstance(schema, dict):
        return {key: type_schema(value) for key, value in schema.items() if key in TYPE_KEYS}
    return [type_schema(each) for each in schema] if isinstance(schema, list) else schema


def shape(hint: Any) -> Any:
    """Returns the JSON schema of a type."""
    origin, inner = get_origin(hint), get_args(hint)
    if is_typeddict(hint):
        return {"$ref": f"#/components/schemas/{hint.__name__}"}
    if origin in (Required, NotRequired):
        return shape(inner[0])
    if origin in (Union, UnionType):  # `Literal[...] | None` has the origin Union
        return {"anyOf": [shape(each) for each in inner]}
    if origin is Literal:
        return {"type": "string", "enum": list(inner)}
    if origin is list:
        return {"type": "array", "items": shape(inner[0])}
    if origin is dict:
        values = True if inner[1] is Any else shape(inner[1])
        return {"type": "object", "additionalProperties": values}
    return {"type": JSON_TYPES[hint]}


def test_a_session_is_answered_stored_and_deleted(client: Client) -> None:
    first = client.ask(questions.append_event_and_recommend("a/b ü", 3, item_id="1", event_id="e"))
    again = client.ask(questions.append_event("a/b ü", item_id="1", event_id="e"))
    assert (len(first["items"]), again["stored"]) == (3, True)
    assert client.ask(questions.read_session("a/b ü"))["history"] == ["1"]
    assert client.ask(questions.forget_session("a/b ü")) is None
    with pytest.raises(RefusedError, match="404 Not Found: no session 'a/b ü'") as caught:
        client.ask(questions.read_session("a/b ü"))
    assert caught.value.status == 404


@pytest.mark.parametrize("dots", [".", ".."])
def test_an_id_of_dots_does_not_lead_to_another_route(client: Client, dots: str) -> None:
    client.ask(questions.append_event(dots, item_id="1"))
    assert client.ask(questions.read_session(dots))["history"] == ["1"]
    client.ask(questions.forget_session(dots))
    with pytest.raises(RefusedError) as caught:
        client.ask(questions.read_item(dots))
    assert caught.value.problem["detail"] == f"no item {dots!r}"


def test_arguments_that_are_left_out_have_the_defaults_of_the_service(client: Client) -> None:
    assert len(client.ask(questions.recommend(history=["1"]))["items"]) == 20
    unexplained = client.ask(questions.recommend_for_session("nobody", k=1, explain=False))
    assert "reasons" not in unexplained["items"][0]


def test_popular_items_are_those_of_training_or_of_a_window(client: Client) -> None:
    items = client.ask(questions.read_popular_items(k=2))["items"]
    assert [each["events"] for each in items] == [None, None]
    genre = {"genres": ["Drama"]}
    assert len(client.ask(questions.select_popular_items(k=2, allow=genre))["items"]) == 2
    with pytest.raises(RefusedError, match="404 Not Found: no events are counted"):
        client.ask(questions.read_popular_items(window="24h", order="trending"))


def test_a_problem_names_the_field(client: Client) -> None:
    with pytest.raises(RefusedError) as caught:
        client.ask(questions.recommend(history=["1"], k=0))
    assert [each["field"] for each in caught.value.problem["errors"]] == ["k"]


def test_admin_functions_need_the_key(client: Client) -> None:
    with pytest.raises(RefusedError, match="401 Unauthorized"):
        client.ask(questions.rollback_model("another key"))
    with pytest.raises(RefusedError, match="409 Conflict"):
        client.ask(questions.rollback_model("an admin key of the tests"))


def test_items_are_changed_with_the_key_too(client: Client) -> None:
    with pytest.raises(RefusedError, match="401 Unauthorized"):
        client.ask(questions.remove_item("new"))
    client.ask(questions.remove_item("new", admin_key="an admin key of the tests"))
    new: questions.NewItem = {"item_id": "new", "title": "New", "embedding": [1]}
    with pytest.raises(RefusedError, match="409 Conflict: this model cannot read embeddings"):
        client.ask(questions.add_item(admin_key="an admin key of the tests", **new))


def test_an_answer_that_is_not_json_is_returned_as_text(client: Client) -> None:
    assert "recommender_" in client.ask(questions.read_metrics())


def test_an_error_status_without_a_problem_document_is_an_http_error(url: str) -> None:
    gateway = httpx.MockTransport(lambda _: httpx.Response(502, text="<html>"))
    with (
        Client(httpx.Client(base_url=url, transport=gateway)) as client,
        pytest.raises(httpx.HTTPStatusError, match="502"),
    ):
        client.ask(questions.is_alive())


def test_a_refusal_is_recognised_where_a_proxy_adds_the_charset(url: str) -> None:
    headers = {"Content-Type": "application/problem+json; charset=utf-8"}
    refusal = {"title": "Not Found", "status": 404, "detail": "no such session"}
    proxy = httpx.MockTransport(lambda _: httpx.Response(404, headers=headers, json=refusal))
    with (
        Client(httpx.Client(base_url=url, transport=proxy)) as client,
        pytest.raises(RefusedError, match="404 Not Found: no such session"),
    ):
        client.ask(questions.is_alive())


@pytest.mark.anyio
async def test_a_client_waits_for_its_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            Client(address, timeout_seconds=0.01) as client,
            pytest.raises(httpx.TimeoutException),
        ):
            client.ask(questions.is_alive())
        async with AsyncClient(address, timeout_seconds=0.01) as async_client:
            with pytest.raises(httpx.TimeoutException):
                await async_client.ask(questions.is_alive())


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_client_waits_longer_than_the_service_waits_for_its_teacher(
    kind: type[Client | AsyncClient],
) -> None:
    default = inspect.signature(kind).parameters["timeout_seconds"].default
    assert default > Settings().teacher_deadline_seconds


@pytest.mark.anyio
async def test_the_async_client_returns_the_same_answer(url: str, client: Client) -> None:
    question = questions.recommend(history=["1", "260"], k=3, allow={"genres": ["Drama"]})
    async with AsyncClient(httpx.AsyncClient(base_url=url, trust_env=False)) as async_client:
        by_async, by_sync = await async_client.ask(question), client.ask(question)
    assert by_async.pop("recommendation_id") != by_sync.pop("recommendation_id")  # type: ignore[misc]
    assert by_async == by_sync


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
