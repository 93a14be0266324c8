"""Items that are added at run time.

On the ring an embedding says which items the new one is like: one that is half `d` and half `e`
gets, after `c`, half the score of `d` and half that of `e`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import numpy as np
import pytest
from pydantic import SecretStr

from export.contract.bundle import Item
from service.settings import Settings
from service.stores.items.protocol import AddedItem
from service.stores.opening import open_item_store
from tests.service.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.conftest import RedisServer
    from tests.service.conftest import Connect

pytestmark = pytest.mark.anyio

NEW: dict[str, Any] = {
    "item_id": "new/one",
    "title": "Brand new",
    "embedding": [0, 0, 0, 0.5, 0.5, 0, 0, 0],
    "attributes": {"letter": ["n"], "format": ["short"]},
}


async def ask(client: httpx.AsyncClient, history: Sequence[str], k: int = 3, **more: object) -> Any:
    body = {"history": list(history), "k": k, **more}
    return (await client.post("/v1/recommendations", json=body)).json()


async def ids(client: httpx.AsyncClient, history: str, k: int = 3, **more: object) -> list[str]:
    return [item["item_id"] for item in (await ask(client, history, k, **more))["items"]]


async def test_a_posted_item_is_recommended_where_it_fits(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/items", json=NEW)
    assert response.json() == {
        "item_id": "new/one",
        "title": "Brand new",
        "popularity": 0,
        "attributes": NEW["attributes"],
        "variants": ["default"],
    }
    answer = await ask(client, "c")
    assert [item["item_id"] for item in answer["items"]] == ["d", "new/one", "e"]
    assert answer["items"][1] == {"item_id": "new/one", "title": "Brand new", "score": 7.5}


async def test_a_posted_item_is_stored_over_restarts(
    settings: Settings, connect: "Connect"
) -> None:
    async with connect(settings) as client:
        await client.post("/v1/items", json=NEW)
    async with connect(settings) as client:
        assert await ids(client, "c") == ["d", "new/one", "e"]


async def test_another_worker_adds_and_removes_it_too(
    settings: Settings, connect: "Connect"
) -> None:
    async with connect(settings) as one, connect(settings) as other:
        await one.post("/v1/items", json=NEW)
        await wait_for(other, ["d", "new/one", "e"])
        await other.delete("/v1/items/new%2Fone")
        await wait_for(one, ["d", "e", "f"])


async def wait_for(client: httpx.AsyncClient, expected: list[str]) -> None:
    """Waits until the `expected` items are recommended after `c`."""
    with anyio.fail_after(PATIENCE_SECONDS):
        while await ids(client, "c") != expected:
            await anyio.sleep(0.01)


async def test_a_posted_item_counts_in_histories_filters_and_exclusions(
    client: httpx.AsyncClient,
) -> None:
    await client.post("/v1/items", json=NEW)
    answer = await ask(client, ["new/one"], k=2)
    assert (answer["unknown_items"], answer["source"]) == (0, "student")
    assert "new/one" not in [item["item_id"] for item in answer["items"]]
    assert await ids(client, "c", exclude=["new/one"]) == ["d", "e", "f"]
    assert await ids(client, "c", allow={"format": ["short"]}) == ["new/one"]
    assert await ids(client, "c", deny={"letter": ["d", "n"]}) == ["e", "f", "g"]


async def test_a_posted_item_can_be_read_found_compared_and_removed(
    client: httpx.AsyncClient,
) -> None:
    await client.post("/v1/items", json=NEW)
    assert (await client.get("/v1/items/new%2Fone")).json()["title"] == "Brand new"
    found = (await client.get("/v1/items", params={"query": "brand"})).json()["items"]
    assert [item["item_id"] for item in found] == ["new/one"]
    similar = (await client.get("/v1/items/new%2Fone/similar?k=2")).json()["items"]
    assert [item["item_id"] for item in similar] == ["d", "e"]
    assert similar[0]["score"] == pytest.approx(0.5**0.5)
    for _ in range(2):
        assert (await client.delete("/v1/items/new%2Fone")).status_code == 204
    assert (await client.get("/v1/items/new%2Fone")).status_code == 404


async def test_a_posted_item_may_be_replaced(client: httpx.AsyncClient) -> None:
    await client.post("/v1/items", json=NEW)
    await client.post("/v1/items", json=NEW | {"embedding": [0, 0, 0, 0, 0, 0, 0, 2]})
    assert (await ask(client, "f", k=1))["items"][0]["score"] == 14


@pytest.mark.parametrize(
    ("change", "status", "detail"),
    [
        ({"embedding": [1, 2]}, 422, "embedding: holds 2 numbers, not 8"),
        ({"embedding": []}, 422, "embedding: "),
        ({"embedding": [0.5, "x"]}, 422, "embedding[1]: "),
        ({"embedding": [1e300] * 8}, 422, "embedding[0]: "),
        # The vectors of the ring have length 1; 3 times that is 3, and [3, 1] has length sqrt(10).
        (
            {"embedding": [3, 1, 0, 0, 0, 0, 0, 0]},
            422,
            "embedding: makes an item vector of length 3.16, ",
        ),
        ({"title": ""}, 422, "title: "),
        ({"attributes": {"letter": "n"}}, 422, "attributes.letter: "),
        ({"item_id": "a"}, 409, "item 'a' belongs to the bundle: "),
    ],
)
async def test_an_item_that_cannot_be_used_is_refused_with_the_reason(
    client: httpx.AsyncClient, change: dict[str, object], status: int, detail: str
) -> None:
    response = await client.post("/v1/items", json=NEW | change)
    assert response.status_code == status
    assert response.json()["detail"].startswith(detail)


async def test_no_more_items_are_added_than_the_settings_allow(client: httpx.AsyncClient) -> None:
    for number in range(2):
        assert (await client.post("/v1/items", json=NEW | {"item_id": str(number)})).is_success
    response = await client.post("/v1/items", json=NEW)
    assert (response.status_code, response.json()["detail"]) == (
        409,
        "2 items are added already, which is the maximum: remove one first",
    )


async def test_an_item_of_the_bundle_cannot_be_removed(client: httpx.AsyncClient) -> None:
    response = await client.delete("/v1/items/a")
    assert (response.status_code, response.json()["title"]) == (409, "Conflict")


async def test_an_added_item_that_a_later_bundle_holds_can_be_removed(
    settings: Settings, connect: "Connect"
) -> None:
    store = open_item_store(settings)
    await store.put(AddedItem(Item("a", "Once added"), np.ones(8, "<f4").tobytes()))
    await store.close()
    async with connect(settings) as client:
        answers = [await client.delete("/v1/items/a") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [204, 409]


@pytest.mark.parametrize("in_bulk", [False, True])
async def test_a_hidden_item_of_the_bundle_stays_hidden_if_one_that_was_added_before_is_removed(
    settings: Settings, connect: "Connect", *, in_bulk: bool
) -> None:
    store = open_item_store(settings)
    await store.put(AddedItem(Item("a", "Once added"), np.ones(8, "<f4").tobytes()))
    await store.close()
    async with connect(settings) as client:
        await client.patch("/v1/items/a", json={"hidden": True})
        if in_bulk:
            removal = {"items": [{"item_id": "a", "removed": True}]}
            answer = await client.post("/v1/items/bulk", json=removal)
            assert answer.json()["failed"] == 0
        else:
            assert (await client.delete("/v1/items/a")).status_code == 204
        assert (await client.get("/v1/items/a")).status_code == 404


async def test_an_item_of_the_maximum_size_is_accepted(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/items", json=NEW | {"embedding": [3, 0, 0, 0, 0, 0, 0, 0]})
    assert response.is_success


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), ({"Authorization": "Bearer another-key-of-someone"}, 401)],
)
async def test_with_an_admin_key_items_are_changed_only_by_requests_that_send_it(
    settings: Settings, connect: "Connect", headers: dict[str, str], status: int
) -> None:
    admin_key = SecretStr("a-key-for-the-tests")
    due = {"Authorization": "Bearer a-key-for-the-tests"}
    async with connect(settings.model_copy(update={"admin_key": admin_key})) as client:
        assert (await client.post("/v1/items", json=NEW, headers=headers)).status_code == status
        assert (await client.post("/v1/items", json=NEW, headers=due)).is_success
        path = "/v1/items/new%2Fone"
        assert (await client.delete(path, headers=headers)).status_code == status
        assert (await client.get(path)).is_success
        assert (await client.delete(path, headers=due)).status_code == 204


async def test_a_student_without_embeddings_takes_no_items(
    save_bundle_with: Callable[..., Path], connect: "Connect", tmp_path: Path
) -> None:
    folder = save_bundle_with(has_encoder=False)
    async with connect(Settings(bundle_path=folder, items_path=tmp_path / "items")) as client:
        response = await client.post("/v1/items", json=NEW)
    assert response.status_code == 409
    assert "trained without" in response.json()["detail"]


async def test_without_redis_known_items_stay_and_new_ones_are_refused(
    bundle_path: Path, connect: "Connect", mortal_redis: "RedisServer"
) -> None:
    settings = {"redis_url": mortal_redis.url, "items_poll_seconds": 0.01}
    async with connect(Settings.model_validate({"bundle_path": bundle_path, **settings})) as client:
        await client.post("/v1/items", json=NEW)
        mortal_redis.kill()
        await anyio.sleep(0.05)
        assert (await client.post("/v1/items", json=NEW | {"item_id": "z"})).status_code == 503
        assert await ids(client, "c") == ["d", "new/one", "e"]
        mortal_redis.start()
        assert (await client.post("/v1/items", json=NEW | {"item_id": "z"})).is_success
