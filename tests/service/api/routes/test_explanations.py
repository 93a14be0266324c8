"""On the ring the last item alone decides: it is the one reason, and only if it made a score."""

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio


def reasons(answer: dict[str, Any]) -> dict[str, list[tuple[str, float]]]:
    return {
        item["item_id"]: [(each["item_id"], each["score_drop"]) for each in item["reasons"]]
        for item in answer["items"]
    }


async def test_an_answer_tells_by_how_much_each_item_of_the_history_drove_it(
    client: httpx.AsyncClient,
) -> None:
    """Without `c`, `a` is last: `d` then has 6 in place of 8, `e` 5 in place of 7."""
    body = {"history": ["a", "c"], "k": 2, "explain": True}
    answer = (await client.post("/v1/recommendations", json=body)).json()
    assert reasons(answer) == {"d": [("c", 2.0)], "e": [("c", 2.0)]}


async def test_an_item_that_stands_twice_is_left_out_twice(client: httpx.AsyncClient) -> None:
    """Without `c`, nothing is left of this history, and all scores are 0."""
    body = {"history": ["c", "c"], "k": 1, "explain": True}
    answer = (await client.post("/v1/recommendations", json=body)).json()
    assert reasons(answer) == {"d": [("c", 8.0)]}


async def test_a_session_is_explained_too(client: httpx.AsyncClient) -> None:
    for item_id in "ac":
        await client.post("/v1/sessions/s/events", json={"item_id": item_id})
    answer = (await client.get("/v1/sessions/s/recommendations?k=1&explain=true")).json()
    assert reasons(answer) == {"d": [("c", 2.0)]}


async def test_popular_items_have_no_reasons(client: httpx.AsyncClient) -> None:
    body = {"history": ["x"], "k": 2, "explain": True}
    answer = (await client.post("/v1/recommendations", json=body)).json()
    assert reasons(answer) == {"h": [], "g": []}


async def test_what_was_seen_may_be_shown_again(client: httpx.AsyncClient) -> None:
    for item_id in "dc":
        await client.post("/v1/sessions/s/events", json={"item_id": item_id})
    path = "/v1/sessions/s/recommendations?k=1"
    hidden = (await client.get(path)).json()["items"][0]["item_id"]
    shown = (await client.get(f"{path}&mask_seen=false")).json()["items"][0]["item_id"]
    assert (hidden, shown) == ("e", "d")
