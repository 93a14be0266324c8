"""The session routes, with the store in memory and in Redis."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from service.settings import Settings
from tests.service.conftest import without_id

if TYPE_CHECKING:
    from tests.service.conftest import Connect

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["embedded", "redis"])
async def client(
    request: pytest.FixtureRequest, bundle_path: Path, connect: "Connect"
) -> AsyncIterator[httpx.AsyncClient]:
    settings: dict[str, Any] = {"bundle_path": bundle_path, "max_session_length": 6}
    if request.param == "redis":
        settings |= {"redis_url": request.getfixturevalue("redis_server").url}
    async with connect(Settings.model_validate(settings)) as client:
        yield client


async def post(client: httpx.AsyncClient, item_id: str, query: str = "", **more: str) -> Any:
    body = {"item_id": item_id, **more}
    response = await client.post(f"/v1/sessions/s/events{query}", json=body)
    assert response.status_code == 200
    assert "total;dur=" in response.headers["server-timing"]
    return response.json()


def ids(answer: dict[str, Any]) -> str:
    return "".join(item["item_id"] for item in answer["items"])


async def history(client: httpx.AsyncClient) -> Any:
    return (await client.get("/v1/sessions/s")).json()["history"]


async def test_an_event_is_stored(client: httpx.AsyncClient) -> None:
    answer = await post(client, "a")
    assert (answer["stored"], answer["degraded"]) == (True, False)
    assert "items" not in answer
    assert await history(client) == ["a"]


async def test_an_event_with_k_answers_the_next_items(client: httpx.AsyncClient) -> None:
    await post(client, "e")
    answer = await post(client, "c", "?k=3")
    assert (ids(answer), answer["source"], answer["stored"]) == ("dfg", "student", True)


async def test_an_item_that_the_model_does_not_know_is_stored_and_counted(
    client: httpx.AsyncClient,
) -> None:
    await post(client, "brand-new")
    answer = await post(client, "c", "?k=1")
    assert (ids(answer), answer["unknown_items"]) == ("d", 1)
    assert await history(client) == ["brand-new", "c"]


async def test_an_event_without_consent_is_answered_and_not_stored(
    client: httpx.AsyncClient,
) -> None:
    await post(client, "e")
    response = await client.post(
        "/v1/sessions/s/events?k=2", json={"item_id": "c", "consent": False}
    )
    answer = response.json()
    assert (ids(answer), answer["stored"], answer["degraded"]) == ("de", False, False)
    assert await history(client) == ["e"]


async def test_a_retried_event_is_stored_once_and_answered_as_before(
    client: httpx.AsyncClient,
) -> None:
    first = await post(client, "a", "?k=3", event_id="e1")
    await post(client, "b", event_id="e2")
    again = await post(client, "a", "?k=3", event_id="e1")
    assert without_id(again) == without_id(first)
    assert await history(client) == ["a", "b"]


async def test_an_event_of_a_type_that_no_history_has_changes_no_recommendation(
    bundle_path: Path, connect: "Connect"
) -> None:
    settings = Settings(bundle_path=bundle_path, history_event_types="click")
    async with connect(settings) as client:
        await post(client, "c")
        answer = await post(client, "f", "?k=2", event_type="view")
        assert (ids(answer), answer["stored"]) == ("de", False)
        assert (answer["reason"], answer["degraded"]) == ("not_in_history", False)
        assert await history(client) == ["c"]


async def test_every_answer_has_an_id_of_its_own(client: httpx.AsyncClient) -> None:
    first, second = await post(client, "a", "?k=1"), await post(client, "b", "?k=1")
    read = (await client.get("/v1/sessions/s/recommendations")).json()
    made = {each["recommendation_id"] for each in (first, second, read)}
    assert (len(made), {len(each) for each in made}) == (3, {48})


async def test_a_session_is_answered_from_its_history(client: httpx.AsyncClient) -> None:
    await post(client, "c")
    response = await client.get("/v1/sessions/s/recommendations?k=2")
    assert (ids(response.json()), response.json()["source"]) == ("de", "student")
    assert "history;dur=" in response.headers["server-timing"]


async def test_an_unknown_session_gets_popular_items(client: httpx.AsyncClient) -> None:
    answer = (await client.get("/v1/sessions/nobody/recommendations?k=3")).json()
    assert (ids(answer), answer["source"], answer["degraded"]) == ("hgf", "popular", False)


async def test_only_the_newest_events_of_a_session_are_stored(client: httpx.AsyncClient) -> None:
    for item_id in "abcdefgh":
        await post(client, item_id)
    assert await history(client) == list("cdefgh")


async def test_a_deleted_session_is_erased(client: httpx.AsyncClient) -> None:
    await post(client, "a")
    assert (await client.delete("/v1/sessions/s")).status_code == 204
    response = await client.get("/v1/sessions/s")
    assert response.status_code == 404
    assert response.json()["detail"] == "no session 's'"


@pytest.mark.parametrize(
    ("url", "body", "field"),
    [
        ("/v1/sessions/s/events", {}, "item_id"),
        ("/v1/sessions/s/events", {"item_id": 3}, "item_id"),
        ("/v1/sessions/s/events", {"item_id": "a", "event_type": "play"}, "event_type"),
        ("/v1/sessions/s/events", {"item_id": "a", "timestamp": 5}, "timestamp"),
        ("/v1/sessions/s/events", {"item_id": "a", "value": "9"}, "value"),
        ("/v1/sessions/s/events", {"item_id": "a", "recommendation_id": "5"}, "recommendation_id"),
        ("/v1/sessions/s/events", {"item_id": "a", "event_id": ""}, "event_id"),
        ("/v1/sessions/s/events", {"item_id": "a", "event_id": "x\ny"}, "event_id"),
        ("/v1/sessions/s/events", {"item_id": "a", "at": "now"}, "at"),
        ("/v1/sessions/s/events?k=0", {"item_id": "a"}, "k"),
        ("/v1/sessions/s/events?k=101", {"item_id": "a"}, "k"),
        ("/v1/sessions/s/events?k=many", {"item_id": "a"}, "k"),
        (f"/v1/sessions/{'s' * 129}/events", {"item_id": "a"}, "session_id"),
    ],
)
async def test_an_invalid_event_is_refused_and_not_stored(
    client: httpx.AsyncClient, url: str, body: dict[str, object], field: str
) -> None:
    response = await client.post(url, json=body)
    assert response.status_code == 422
    assert [each["field"] for each in response.json()["errors"]] == [field]
    assert (await client.get("/v1/sessions/s")).status_code == 404


@pytest.mark.parametrize("k", ["0", "101", "-1", "x"])
async def test_a_k_out_of_range_is_refused(client: httpx.AsyncClient, k: str) -> None:
    response = await client.get(f"/v1/sessions/s/recommendations?k={k}")
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "k"
