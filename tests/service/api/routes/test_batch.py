import httpx
import pytest

from tests.service.conftest import without_id

pytestmark = pytest.mark.anyio


async def test_a_batch_is_answered_in_the_order_of_its_queries(client: httpx.AsyncClient) -> None:
    await client.post("/v1/sessions/s/events", json={"item_id": "c"})
    requests = [
        {"session_id": "s", "k": 2},
        {"history": ["x"], "k": 2},
        {"history": ["c"], "k": 2, "exclude": ["d"], "allow": {"letter": ["d", "h"]}},
    ]
    body = {"requests": requests}
    answers = (await client.post("/v1/recommendations/batch", json=body)).json()["answers"]
    ids = ["".join(item["item_id"] for item in answer["items"]) for answer in answers]
    assert ids == ["de", "hg", "h"]
    for request, answer in zip(requests, answers, strict=True):
        single = (await client.post("/v1/recommendations", json=request)).json()
        assert without_id(single) == without_id(answer)


@pytest.mark.parametrize(
    ("requests", "field"),
    [
        ([], "requests"),
        ([{"history": []}] * 65, "requests"),
        ([{"history": []}, {"k": 3}], "requests[1].history"),
        ([{"history": [], "k": 101}], "requests[0].k"),
        ([{"history": [], "deny": {"x": []}}], "requests[0].deny.x"),
        ([{"history": [], "explain": True}], "requests[0].explain"),
    ],
)
async def test_an_invalid_batch_is_refused_and_the_field_named(
    client: httpx.AsyncClient, requests: object, field: str
) -> None:
    response = await client.post("/v1/recommendations/batch", json={"requests": requests})
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == field
