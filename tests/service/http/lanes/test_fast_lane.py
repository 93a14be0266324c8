"""Fast lanes give the answers that FastAPI gives."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import HTTPException
from fastapi.routing import APIRoute
from starlette.types import Message

from service.access.principal import DEFAULT_TENANT
from service.app import create_app
from service.errors import ConflictError
from service.runtime import get_runtime
from service.settings import Settings
from tests.service.conftest import without_id

pytestmark = pytest.mark.anyio

EVENTS, RECOMMENDATIONS = "/v1/sessions/s/events", "/v1/recommendations"
# A lane reads only the first; FastAPI takes both for JSON.
COMMON, UNCOMMON = "application/json", "application/json; charset=utf-8"


async def ask(client: httpx.AsyncClient, url: str, body: bytes, media_type: str) -> Any:
    response = await client.post(url, content=body, headers={"content-type": media_type})
    return response.status_code, without_id(response.json())


@pytest.mark.parametrize(
    ("url", "body"),
    [
        (EVENTS, b'{"item_id": "c"}'),
        (f"{EVENTS}?k=3", b'{"item_id": "c", "event_id": "e1"}'),
        (f"{EVENTS}?k=3", b'{"item_id": "c", "consent": false}'),
        (f"{EVENTS}?k=3&k=2", b'{"item_id": "c"}'),
        (f"{EVENTS}?k=%33", b'{"item_id": "c"}'),
        (f"{EVENTS}?k=3&other=1", b'{"item_id": "c"}'),
        (f"{EVENTS}?k=", b'{"item_id": "c"}'),
        (f"{EVENTS}?k=3.5", b'{"item_id": "c"}'),
        (f"{EVENTS}?k=0", b'{"item_id": "c"}'),
        (f"{EVENTS}?k=101", b'{"item_id": "c"}'),
        (f"{EVENTS}?k=999999999999", b'{"item_id": "c"}'),
        (f"{EVENTS}?k={'0' * 300}3", b'{"item_id": "c"}'),
        (f"{EVENTS}?k=3", b'{"item_id": "c", "event_type": "cart", "value": 9}'),
        (EVENTS, b'{"item_id": "c", "event_type": "no such type"}'),
        (EVENTS, b'{"item_id": "c", "timestamp": "now"}'),
        (EVENTS, b'{"item_id": "c", "value": 1e999}'),
        (EVENTS, b'{"item_id": "c", "recommendation_id": "x"}'),
        (EVENTS, b'{"item_id": "c", "item_id": "d"}'),
        (EVENTS, b'{"item_id": 3}'),
        (EVENTS, b'{"item_id": "\\ud800"}'),
        (EVENTS, b'{"item_id": "c"'),
        (EVENTS, '{"item_id": "c"}'.encode("utf-16")),
        (EVENTS, b"\xff"),
        (EVENTS, b""),
        (f"/v1/sessions/{'s' * 129}/events", b'{"item_id": "c"}'),
        ("/v1/sessions/a%2Fb/events?k=2", b'{"item_id": "c"}'),
        ("/v1/sessions/%ff/events?k=2", b'{"item_id": "c"}'),
        (RECOMMENDATIONS, b'{"history": ["c"], "k": 3}'),
        (RECOMMENDATIONS, b'{"history": ["c"], "k": 3.0}'),
        (RECOMMENDATIONS, b'{"history": ["c"], "k": NaN}'),
        (RECOMMENDATIONS, b'{"history": ["c"], "explain": true}'),
        (RECOMMENDATIONS, b'{"history": ["c"], "allow": {"none": []}}'),
        (RECOMMENDATIONS, b"{}"),
        (f"{RECOMMENDATIONS}?k=3", b'{"history": ["c"]}'),
        (f"{RECOMMENDATIONS}/batch", b'{"history": ["c"]}'),
    ],
)
async def test_a_lane_answers_as_fastapi_does(
    client: httpx.AsyncClient, url: str, body: bytes
) -> None:
    by_lane = await ask(client, url, body, COMMON)
    await client.delete("/v1/sessions/s")
    assert by_lane == await ask(client, url, body, UNCOMMON)


async def test_a_common_request_does_not_go_through_fastapi(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(APIRoute, "handle", None)
    assert (await ask(client, f"{EVENTS}?k=3", b'{"item_id": "c"}', COMMON))[0] == 200
    assert (await ask(client, RECOMMENDATIONS, b'{"history": ["c"]}', COMMON))[0] == 200


async def test_a_body_in_parts_is_read_as_a_whole(client: httpx.AsyncClient) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b'{"item_id"'
        yield b': "c"}'

    response = await client.post(f"{EVENTS}?k=2", content=parts(), headers={"content-type": COMMON})
    assert [each["item_id"] for each in response.json()["items"]] == ["d", "e"]


async def test_a_body_that_is_not_declared_as_json_is_refused(client: httpx.AsyncClient) -> None:
    status, problem = await ask(client, EVENTS, b'{"item_id": "c"}', "text/plain")
    assert (status, problem["errors"][0]["field"]) == (422, "body")


@pytest.mark.parametrize("first", [b"text/plain", b"application/json"])
async def test_of_two_content_types_a_lane_counts_the_one_that_fastapi_counts(
    client: httpx.AsyncClient, first: bytes
) -> None:
    others = {b"text/plain", b"application/json"} - {first}
    headers = [(b"content-type", each) for each in (first, *others)]
    response = await client.post(EVENTS, content=b'{"item_id": "c"}', headers=headers)
    assert response.status_code == (200 if first == b"application/json" else 422)


@pytest.mark.parametrize("sent", [b'{"item_id": "c"}', b'{"item_id"'])
async def test_a_body_whose_client_left_before_its_end_is_not_stored(
    bundle_path: Path, sent: bytes
) -> None:
    app = create_app(Settings(bundle_path=bundle_path))
    messages: list[Message] = [
        {"type": "http.request", "body": sent, "more_body": True},
        {"type": "http.disconnect"},
    ]
    scope = {
        "type": "http",
        "method": "POST",
        "path": EVENTS,
        "raw_path": EVENTS.encode(),
        "query_string": b"",
        "headers": [(b"content-type", COMMON.encode()), (b"content-length", b"20")],
        "app": app,
    }
    answers: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        answers.append(message)

    async with app.router.lifespan_context(app):
        await app(scope, receive, send)
        runtime = app.state.runtime
        stored = await runtime.history.read(runtime.session("s", DEFAULT_TENANT))
    assert stored.history == []
    assert all(each.get("status", 422) == 422 for each in answers)


async def test_a_dependency_that_is_overridden_is_overridden_for_lanes_too(
    bundle_path: Path,
) -> None:
    app = create_app(Settings(bundle_path=bundle_path))
    app.dependency_overrides[get_runtime] = refuse
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        status, problem = await ask(client, RECOMMENDATIONS, b'{"history": ["c"]}', COMMON)
    assert (status, problem["detail"]) == (409, "overridden")


async def test_an_error_of_any_class_has_the_answer_that_the_application_gives_it(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(Settings(bundle_path=bundle_path))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        monkeypatch.setattr(app.state.runtime, "check_k", busy)
        body = b'{"history": ["c"]}'
        answers = [await ask(client, RECOMMENDATIONS, body, each) for each in (COMMON, UNCOMMON)]
    assert answers[0] == answers[1]
    assert answers[0][0] == 429


async def refuse() -> None:
    raise ConflictError("overridden")


def busy(*_: object) -> None:
    raise HTTPException(429, "come back later")
