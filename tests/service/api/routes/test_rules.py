"""Rules in requests, on the ring: after `c` come d, e, f, g, h, a, b; a and e are vowels."""

import httpx
import pytest
from pydantic import ValidationError

from service.api.schemas.bodies import RecommendationQuery

pytestmark = pytest.mark.anyio

RULES = {
    "candidates": ["d", "e", "f", "h", "a", "b"],
    "boost": {"items": {"b": 10}, "attributes": {"vowel": {"yes": 0.5}}},
    "pin": [{"item_id": "h", "position": 2}],
    "max_per": {"vowel": 3},
    "diversity": 0,
    "min_score": 7,
}


async def recommend(client: httpx.AsyncClient, **body: object) -> httpx.Response:
    return await client.post("/v1/recommendations", json={"history": ["c"], **body})


async def test_rules_decide_which_items_are_recommended(client: httpx.AsyncClient) -> None:
    """The score of b is 12, of d 8, of e 7.5 and of f 6; at most three are consonants."""
    answer = (await recommend(client, k=5, **RULES)).json()
    assert [item["item_id"] for item in answer["items"]] == list("bhde")
    assert answer["shortage"] == "min_score"
    assert "left_out_pins" not in answer


async def test_an_answer_with_k_items_has_no_further_field(client: httpx.AsyncClient) -> None:
    answer = (await recommend(client, k=2, boost={"items": {"d": 1}})).json()
    assert answer.keys() == {
        "recommendation_id",
        "model_version",
        "variant",
        "source",
        "degraded",
        "unknown_items",
        "items",
    }


async def test_too_few_items_are_told_without_rules_too(client: httpx.AsyncClient) -> None:
    answer = (await recommend(client, k=3, allow={"vowel": ["yes"]})).json()
    assert (len(answer["items"]), answer["shortage"]) == (2, "no_more_items")


async def test_each_query_of_a_batch_has_its_own_rules(client: httpx.AsyncClient) -> None:
    queries = [
        {"history": ["c"], "k": 2, "pin": [{"item_id": "b", "position": 1}]},
        {"history": ["c"], "k": 2},
        {"history": [], "k": 1, "candidates": ["a", "d"]},
    ]
    answer = await client.post("/v1/recommendations/batch", json={"requests": queries})
    lists = [
        "".join(item["item_id"] for item in each["items"]) for each in answer.json()["answers"]
    ]
    assert lists == ["bd", "de", "d"]


async def test_explanations_are_given_for_a_list_by_rules(client: httpx.AsyncClient) -> None:
    answer = (await recommend(client, k=2, explain=True, boost={"items": {"b": 10}})).json()
    assert [item["item_id"] for item in answer["items"]] == ["b", "d"]
    assert all("reasons" in item for item in answer["items"])


async def test_similar_items_take_filters_and_rules(client: httpx.AsyncClient) -> None:
    body = {"k": 3, "deny": {"vowel": ["yes"]}, "boost": {"items": {"g": 0.5}}, "exclude": ["b"]}
    answer = await client.post("/v1/items/c/similar", json=body)
    assert [item["item_id"] for item in answer.json()["items"]] == ["g", "d", "f"]
    assert (await client.post("/v1/items/no such/similar", json=body)).status_code == 404


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ({"candidates": []}, "candidates", "at least 1 item"),
        ({"diversity": 1.5}, "diversity", "less than or equal to 1"),
        ({"max_per": {"vowel": 0}}, "max_per.vowel", "greater than or equal to 1"),
        ({"boost": {"items": {"a": 2000}}}, "boost.items.a", "less than or equal to 1000"),
        ({"boost": {"attributes": {"colour": {"red": 1}}}}, "boost.attributes.colour", "no item"),
        ({"max_per": {"colour": 1}}, "max_per.colour", "there are: letter, vowel"),
        (
            {"pin": [{"item_id": "a", "position": 4}]},
            "pin[0].position",
            "must be at most k, which is 3, not 4",
        ),
        (
            {"pin": [{"item_id": "a", "position": 1}, {"item_id": "b", "position": 1}]},
            "pin[1].position",
            "1 is pinned twice",
        ),
        (
            {"pin": [{"item_id": "a", "position": 1}, {"item_id": "a", "position": 2}]},
            "pin[1].item_id",
            "'a' is pinned twice",
        ),
    ],
)
async def test_rules_that_cannot_be_used_are_refused_by_name(
    client: httpx.AsyncClient, body: dict[str, object], field: str, message: str
) -> None:
    for path, prefix, sent in (
        ("/v1/recommendations", "", {"history": ["c"], "k": 3, **body}),
        ("/v1/items/c/similar", "", {"k": 3, **body}),
        (
            "/v1/recommendations/batch",
            "requests[0].",
            {"requests": [{"history": ["c"], "k": 3, **body}]},
        ),
    ):
        reply = await client.post(path, json=sent)
        (error,) = reply.json()["errors"]
        assert (reply.status_code, error["field"]) == (422, f"{prefix}{field}")
        assert message in error["message"]


def test_a_query_to_the_teacher_takes_no_rules() -> None:
    with pytest.raises(ValidationError, match="diversity"):
        RecommendationQuery.model_validate({"history": ["c"], "diversity": 0.5})
