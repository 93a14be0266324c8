import httpx
import pytest

pytestmark = pytest.mark.anyio


def attributes(letter: str) -> dict[str, list[str]]:
    return {"letter": [letter], "vowel": ["yes" if letter in "ae" else "no"]}


async def test_a_search_answers_items_with_the_words_in_their_title(
    client: httpx.AsyncClient,
) -> None:
    response = await client.get("/v1/items", params={"query": "story"})
    assert response.json()["items"] == [
        {"item_id": "c", "title": "Story of Us", "popularity": 2, "attributes": attributes("c")},
        {"item_id": "a", "title": "Toy Story", "popularity": 0, "attributes": attributes("a")},
    ]


async def test_an_empty_search_gives_popular_items(client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/items", params={"limit": 3})
    assert [item["item_id"] for item in response.json()["items"]] == ["h", "g", "f"]


@pytest.mark.parametrize(
    ("query", "field"),
    [("limit=0", "limit"), ("limit=x", "limit"), ("query=" + "a" * 257, "query")],
)
async def test_an_invalid_search_is_refused(
    client: httpx.AsyncClient, query: str, field: str
) -> None:
    response = await client.get(f"/v1/items?{query}")
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == field


async def test_an_item_is_found_by_its_id(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/items/e")).json()["title"] == "Élan"


async def test_an_unknown_item_is_not_found(client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/items/zebra")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"] == "no item 'zebra'"
