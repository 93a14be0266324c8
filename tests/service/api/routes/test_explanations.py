"""Reasons on the ring: only the last item of a history counts, so it is the only reason."""

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio


def reasons(answer: dict[str, Any]) -> dict[str, list[tuple[str, float]]]:
    return {
        item["item_id"]: [(each["item_id"], each["score_drop"]) for each in item["reasons"]]
        for item in answer["items"]
    }


async def test_a_reason_says_how_far_the_score_falls_without_an_item_of_the_history(
    client: httpx.AsyncClient,
) -> None:
    """Without `c`, `a` is last: `d` then has 6 in place of 8, `e` 5 in place of 7."""
    body = {"history": ["a", "c"], "k": 2, "explain": True}
    answer = (await client.post("/v1/recommendations", json=body)).json()
    assert reasons(answer) == {"d": [("c", 2.0)], "e": [("c", 2.0)]}


async def test_an_item_that_occurs_twice_is_left_out_twice(client: httpx.AsyncClient) -> None:
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


async def test_seen_items_can_be_recommended_if_they_are_not_masked(
    client: httpx.AsyncClient,
) -> None:
    for item_id in "dc":
        await client.post("/v1/sessions/s/events", json={"item_id": item_id})
    path = "/v1/sessions/s/recommendations?k=1"
    hidden = (await client.get(path)).json()["items"][0]["item_id"]
    shown = (await client.get(f"{path}&mask_seen=false")).json()["items"][0]["item_id"]
    assert (hidden, shown) == ("e", "d")
