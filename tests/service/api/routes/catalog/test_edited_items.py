"""Items that are hidden or edited at run time; after `c` come d, e, f, g, h, a, b on the ring."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from pydantic import SecretStr

from export.contract.bundles_folder import BundleLink, publish
from service.settings import Settings
from tests.service.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.service.conftest import Connect

pytestmark = pytest.mark.anyio

NEW: dict[str, Any] = {
    "item_id": "new",
    "title": "Brand new",
    "embedding": [0, 0, 0, 2, 0, 0, 0, 0],
    "attributes": {"letter": ["n"]},
}


async def edit(client: httpx.AsyncClient, item_id: str, **fields: object) -> httpx.Response:
    return await client.patch(f"/v1/items/{item_id}", json=fields)


async def recommended(client: httpx.AsyncClient, history: str = "c", **more: object) -> str:
    body = {"history": list(history), "k": 8, **more}
    answer = (await client.post("/v1/recommendations", json=body)).json()
    return "".join(item["item_id"] for item in answer["items"])


async def shown(client: httpx.AsyncClient) -> dict[str, str]:
    """Returns, by route, the items that each route shows."""
    lists = {
        "student": await recommended(client),
        "popular": await recommended(client, ""),
        "filtered": await recommended(client, deny={"vowel": ["no"]}),
        "candidates": await recommended(client, candidates=["d", "e", "f"]),
        "pinned": await recommended(client, pin=[{"item_id": "d", "position": 1}]),
        "seen": await recommended(client, "cd", mask_seen=False),
    }
    batch = {"requests": [{"history": ["c"], "k": 8}] * 2}
    (answer, _) = (await client.post("/v1/recommendations/batch", json=batch)).json()["answers"]
    for name, items in (
        ("batch", answer["items"]),
        ("similar", (await client.get("/v1/items/c/similar?k=8")).json()["items"]),
        ("search", (await client.get("/v1/items")).json()["items"]),
        ("examples", (await client.get("/v1/examples")).json()["histories"][0]),
        (
            "event",
            (await client.post("/v1/sessions/s/events?k=8", json={"item_id": "c"})).json()["items"],
        ),
        ("session", (await client.get("/v1/sessions/s/recommendations?k=8")).json()["items"]),
    ):
        lists[name] = "".join(item["item_id"] for item in items)
    return lists


async def test_a_hidden_item_is_gone_from_every_route(client: httpx.AsyncClient) -> None:
    before = await shown(client)
    assert all("d" in items for name, items in before.items() if name != "filtered")
    assert (await edit(client, "d", hidden=True)).status_code == 200
    after = await shown(client)
    assert "d" not in after.pop("examples")  # other items take its place
    assert after == {name: before[name].replace("d", "") for name in after}
    assert (await client.get("/v1/items/d")).status_code == 404
    assert (await client.get("/v1/items/d/similar")).status_code == 404


async def test_a_hidden_item_is_still_read_in_histories_and_is_no_reason(
    client: httpx.AsyncClient,
) -> None:
    await edit(client, "c", hidden=True)
    assert await recommended(client, "c", k=3) == "def"
    body = {"history": ["c"], "k": 2, "explain": True}
    answer = (await client.post("/v1/recommendations", json=body)).json()
    assert (answer["unknown_items"], answer["items"][0]["reasons"]) == (0, [])


async def test_a_hidden_item_is_shown_again(client: httpx.AsyncClient) -> None:
    before = await shown(client)
    await edit(client, "d", hidden=True)
    answer = await edit(client, "d", hidden=False)
    assert answer.json() == {"item_id": "d", "hidden": False, "title": None, "attributes": None}
    assert await shown(client) == before


async def test_title_and_attributes_are_changed_one_by_one_and_reset(
    client: httpx.AsyncClient,
) -> None:
    await edit(client, "d", title="Other")
    answer = await edit(client, "d", attributes={"vowel": ["yes"], "colour": ["red"]})
    assert answer.json()["title"] == "Other"
    assert (await client.get("/v1/items/d")).json() == {
        "item_id": "d",
        "title": "Other",
        "popularity": 3,
        "attributes": {"vowel": ["yes"], "colour": ["red"]},
    }
    assert await recommended(client, allow={"vowel": ["yes"]}) == "dea"
    assert await recommended(client, deny={"letter": ["d"]}, k=1) == "d"
    assert await recommended(client, max_per={"colour": 1}, k=2) == "de"
    found = (await client.get("/v1/items?query=other")).json()["items"]
    assert [item["item_id"] for item in found] == ["d"]
    await edit(client, "d", title=None, attributes=None)
    assert (await client.get("/v1/items/d")).json()["title"] == "Alien"
    assert await recommended(client, allow={"vowel": ["yes"]}) == "ea"


async def test_an_added_item_is_edited_as_one_of_the_bundle(client: httpx.AsyncClient) -> None:
    await client.post("/v1/items", json=NEW)
    assert (await recommended(client)).startswith("new")
    await edit(client, "new", hidden=True)
    assert await recommended(client) == "defghab"
    await client.delete("/v1/items/new")
    await client.post("/v1/items", json=NEW)
    assert (await recommended(client)).startswith("new")


async def test_an_edited_item_that_is_posted_again_is_shown_as_posted_and_stays_hidden(
    client: httpx.AsyncClient,
) -> None:
    await client.post("/v1/items", json=NEW)
    await edit(client, "new", title="Edited", attributes={"letter": ["e"]}, hidden=True)
    again = (await client.post("/v1/items", json=NEW | {"title": "Third"})).json()
    assert (await client.get("/v1/items/new")).status_code == 404
    await edit(client, "new", hidden=False)
    shown_item = (await client.get("/v1/items/new")).json()
    assert shown_item["title"] == again["title"] == "Third"
    assert shown_item["attributes"] == again["attributes"] == NEW["attributes"]


async def test_another_worker_and_the_next_start_hide_it_too(
    client: httpx.AsyncClient, settings: Settings, connect: "Connect"
) -> None:
    async with connect(settings) as other:
        await edit(client, "d", hidden=True)
        with anyio.fail_after(PATIENCE_SECONDS):
            while await recommended(other) != "efghab":
                await anyio.sleep(0.02)
    async with connect(settings) as restarted:
        assert await recommended(restarted) == "efghab"
        assert (await restarted.get("/v1/items/d")).status_code == 404


async def test_an_item_stays_hidden_in_another_bundle(
    save_bundle_with: "Callable[..., Path]", connect: "Connect", tmp_path: Path
) -> None:
    bundles = tmp_path / "bundles"
    for scale in (1, 2):
        publish(save_bundle_with(scale=scale, name=f"b{scale}"), bundles)
    link = BundleLink(bundles / "active")
    key = SecretStr("an admin key of the tests")
    items_path = tmp_path / "items.jsonl"
    settings = Settings(bundle_path=link.path, items_path=items_path, admin_key=key)
    async with connect(settings) as client:
        client.headers["Authorization"] = f"Bearer {key.get_secret_value()}"
        await edit(client, "d", hidden=True)
        version = (await client.get("/v1/model")).json()["model_version"]
        answer = await client.post("/v1/model/rollback", json={})
        assert answer.status_code == 200, answer.text
        assert (await client.get("/v1/model")).json()["model_version"] != version
        assert await recommended(client) == "efghab"


async def test_edits_that_cannot_be_made_are_refused(client: httpx.AsyncClient) -> None:
    assert (await edit(client, "no such", hidden=True)).status_code == 404
    assert (await edit(client, "d", popularity=3)).status_code == 422
    assert (await edit(client, "d", title="")).status_code == 422
    for item_id in "de":
        await edit(client, item_id, hidden=True)
    refused = await edit(client, "f", hidden=True)
    assert refused.status_code == 409
    assert "2 items are edited already" in refused.json()["detail"]
    assert (await edit(client, "e", title="Élan")).status_code == 200
    await edit(client, "e", hidden=False, title=None)
    assert (await edit(client, "f", hidden=True)).status_code == 200
