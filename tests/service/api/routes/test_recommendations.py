"""Recommendations on the ring a … h: d, e, f, g, h, a, b after `c`; popular are h, g, f … a."""

import gc
import re
from typing import Any

import httpx
import pytest
from fastapi.exceptions import RequestValidationError

pytestmark = pytest.mark.anyio


async def ask(client: httpx.AsyncClient, **body: object) -> dict[str, Any]:
    response = await client.post("/v1/recommendations", json=body)
    assert response.status_code == 200
    answer: dict[str, Any] = response.json()
    return answer


def ids(answer: dict[str, Any]) -> str:
    return "".join(item["item_id"] for item in answer["items"])


async def test_a_history_in_the_body_is_answered_by_the_student(client: httpx.AsyncClient) -> None:
    answer = await ask(client, history=["a", "x", "c"], k=2)
    assert answer.pop("model_version")
    assert len(answer.pop("recommendation_id")) == 48
    assert answer == {
        "variant": "default",
        "source": "student",
        "degraded": False,
        "unknown_items": 1,
        "items": [
            {"item_id": "d", "title": "Alien", "score": 8.0},
            {"item_id": "e", "title": "Élan", "score": 7.0},
        ],
    }


async def test_an_answer_names_its_model(client: httpx.AsyncClient) -> None:
    answer = await ask(client, history=["c"])
    assert answer["model_version"] == (await client.get("/v1/model")).json()["model_version"]


async def test_an_answer_has_the_time_of_each_part(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/recommendations", json={"history": ["c"]})
    timing = response.headers["server-timing"]
    assert re.fullmatch(r"history;dur=[\d.]+, infer;dur=[\d.]+, total;dur=[\d.]+", timing)
    history, infer, total = map(float, re.findall(r"dur=([\d.]+)", timing))
    assert history + infer <= total + 0.002  # each is rounded to a microsecond


async def test_a_history_in_the_body_is_not_stored(client: httpx.AsyncClient) -> None:
    await ask(client, history=["c"])
    assert (await ask(client, history=["a"], k=2))["items"][0]["item_id"] == "b"


async def test_a_session_is_answered_from_what_was_stored(client: httpx.AsyncClient) -> None:
    await client.post("/v1/sessions/s/events", json={"item_id": "c"})
    assert ids(await ask(client, session_id="s", k=2)) == "de"


async def test_a_history_beside_a_session_follows_the_stored_one(client: httpx.AsyncClient) -> None:
    await client.post("/v1/sessions/s/events", json={"item_id": "g"})
    assert ids(await ask(client, session_id="s", history=["e"], k=2)) == "fh"


async def test_an_empty_history_gets_popular_items(client: httpx.AsyncClient) -> None:
    answer = await ask(client, history=[], k=3)
    assert (ids(answer), answer["source"]) == ("hgf", "popular")


async def test_excluded_items_are_not_recommended(client: httpx.AsyncClient) -> None:
    assert ids(await ask(client, history=["c"], exclude=["d", "unknown"], k=2)) == "ef"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "history"),
        ({"history": ["a"], "k": 0}, "k"),
        ({"history": ["a"], "k": 101}, "k"),
        ({"history": ["a"], "k": "5"}, "k"),
        ({"history": ["a"], "k": 5.5}, "k"),
        ({"history": ["a"], "k": True}, "k"),
        ({"history": "a"}, "history"),
        ({"history": ["a", "b", 3]}, "history[2]"),
        ({"history": [""]}, "history[0]"),
        ({"history": ["a" * 257]}, "history[0]"),
        ({"history": ["a"] * 1001}, "history"),
        ({"session_id": ""}, "session_id"),
        ({"history": ["a"], "exclude": [None]}, "exclude[0]"),
        ({"history": ["a"], "allow": {"colour": ["red"]}}, "allow.colour"),
        ({"history": ["a"], "deny": {"letter": "a"}}, "deny.letter"),
        ({"history": ["a"], "histroy": ["b"]}, "histroy"),
        ([], "body"),
        ("a", "body"),
        (None, "body"),
    ],
)
async def test_an_invalid_body_is_refused_and_the_field_named(
    client: httpx.AsyncClient, body: object, field: str
) -> None:
    response = await client.post("/v1/recommendations", json=body)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert [each["field"] for each in response.json()["errors"]] == [field]


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"\xff\xfe", "body"),
        (b"[" * 100_000, "body"),
        (b'{"history": ["\\ud800"]}', "history[0]"),
        (b'{"k": ' + b"9" * 10_000 + b"}", "body"),
    ],
)
async def test_a_body_that_is_not_json_is_refused(
    client: httpx.AsyncClient, content: bytes, field: str
) -> None:
    headers = {"content-type": "application/json"}
    response = await client.post("/v1/recommendations", content=content, headers=headers)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == field


async def test_broken_json_is_freed_without_the_garbage_collector(
    client: httpx.AsyncClient,
) -> None:
    """Otherwise megabytes of broken JSON pile up until the next collection."""
    headers = {"content-type": "application/json"}
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            await client.post("/v1/recommendations", content=b'{"history": ["a', headers=headers)
        # By type, because `isinstance` makes deprecated objects of torch warn.
        kept = [each for each in gc.get_objects() if issubclass(type(each), RequestValidationError)]
    finally:
        gc.enable()
    assert kept == []


async def test_a_form_is_refused_because_bodies_are_json(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/recommendations", data={"history": "a"})
    assert response.json()["detail"] == "body: must be a JSON object, sent as application/json"


async def test_the_largest_k_is_answered(client: httpx.AsyncClient) -> None:
    assert ids(await ask(client, history=["h"], k=100)) == "abcdefg"


async def test_a_body_beyond_the_limit_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/recommendations", content=b" " * (1 << 20) + b"{}")
    assert response.status_code == 413
    assert response.json()["title"]
