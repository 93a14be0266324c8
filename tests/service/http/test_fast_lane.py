"""The short way of the busiest routes, held to FastAPI's own."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

pytestmark = pytest.mark.anyio

EVENTS, RECOMMENDATIONS = "/v1/sessions/s/events", "/v1/recommendations"
PLAIN, UNUSUAL = "application/json", "application/json; charset=utf-8"


async def ask(client: httpx.AsyncClient, url: str, body: bytes, media_type: str) -> Any:
    response = await client.post(url, content=body, headers={"content-type": media_type})
    return response.status_code, response.json()


@pytest.mark.parametrize(
    ("url", "body"),
    [
        (EVENTS, b'{"item_id": "c"}'),
        (f"{EVENTS}?k=3", b'{"item_id": "c", "event_id": "e1"}'),
        (f"{EVENTS}?k=3", b'{"item_id": "c", "consent": false}'),
        (f"{EVENTS}?k=3&k=2", b'{"item_id": "c"}'),
        (f"{EVENTS}?k=%33", b'{"item_id": "c"}'),
        (f"{EVENTS}?k=0", b'{"item_id": "c"}'),
        (f"{EVENTS}?k=101", b'{"item_id": "c"}'),
        (f"{EVENTS}?k=999999999999", b'{"item_id": "c"}'),
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
        (f"{RECOMMENDATIONS}/batch", b'{"history": ["c"]}'),
    ],
)
async def test_either_way_gives_one_answer(
    client: httpx.AsyncClient, url: str, body: bytes
) -> None:
    short = await ask(client, url, body, PLAIN)
    await client.delete("/v1/sessions/s")
    assert short == await ask(client, url, body, UNUSUAL)


async def test_a_plain_request_does_not_take_fastapis_way(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(APIRoute, "handle", None)
    assert (await ask(client, f"{EVENTS}?k=3", b'{"item_id": "c"}', PLAIN))[0] == 200
    assert (await ask(client, RECOMMENDATIONS, b'{"history": ["c"]}', PLAIN))[0] == 200


async def test_a_body_in_parts_is_read_as_a_whole(client: httpx.AsyncClient) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b'{"item_id"'
        yield b': "c"}'

    response = await client.post(f"{EVENTS}?k=2", content=parts(), headers={"content-type": PLAIN})
    assert [each["item_id"] for each in response.json()["items"]] == ["d", "e"]


async def test_what_is_not_declared_as_json_is_refused(client: httpx.AsyncClient) -> None:
    status, problem = await ask(client, EVENTS, b'{"item_id": "c"}', "text/plain")
    assert (status, problem["errors"][0]["field"]) == (422, "body")
