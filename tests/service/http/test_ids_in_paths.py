from urllib.parse import quote

import httpx
import pytest

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("session_id", ["a/b", "a/events", "100%", "%2F", "ö ?&#", "a+b"])
async def test_a_session_id_may_hold_anything(client: httpx.AsyncClient, session_id: str) -> None:
    path = f"/v1/sessions/{quote(session_id, safe='')}"
    await client.post(f"{path}/events", json={"item_id": "c"})
    assert (await client.get(path)).json()["session_id"] == session_id
    body = {"session_id": session_id, "k": 1}
    answer = (await client.post("/v1/recommendations", json=body)).json()
    assert answer["items"][0]["item_id"] == "d"


async def test_an_encoded_slash_in_an_item_id_does_not_lead_to_another_route(
    client: httpx.AsyncClient,
) -> None:
    response = await client.get("/v1/items/a%2Fsimilar")
    assert response.json()["detail"] == "no item 'a/similar'"
    assert (await client.get("/v1/items/a/similar?k=2")).status_code == 200


async def test_the_length_limit_of_an_id_counts_decoded_characters(
    client: httpx.AsyncClient,
) -> None:
    assert (await client.get(f"/v1/sessions/{'%41' * 128}")).status_code == 404
    response = await client.get(f"/v1/sessions/{'%41' * 129}")
    assert response.status_code == 422
    assert "at most 128 characters" in response.json()["detail"]


async def test_an_id_that_is_not_utf_8_is_refused_and_named(client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/sessions/%FF")
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "session_id"
