"""Items that are added, changed and removed in bulk; after `c` come d, e, f, g, h, a, b."""

import json
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from service.admission.caller import Caller
from service.bundles.added_items import AddedItems
from service.settings import Settings
from tests.service.api.routes.catalog.runtime import runtime_of
from tests.service.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.service.conftest import Connect

pytestmark = pytest.mark.anyio

NEW: dict[str, Any] = {
    "item_id": "new",
    "title": "Brand new",
    "embedding": [0, 0, 0, 2, 0, 0, 0, 0],
    "attributes": {"letter": ["n"]},
}
LINES = {"content-type": "application/x-ndjson"}


@pytest.fixture
def max_edited_items() -> int:
    return 3


async def change(client: httpx.AsyncClient, *items: object) -> Any:
    answer = await client.post("/v1/items/bulk", json={"items": items})
    assert answer.status_code == 200, answer.text
    return answer.json()


def done(number: int) -> dict[str, Any]:
    return {"processed": number, "failed": 0, "failures": []}


async def recommended(client: httpx.AsyncClient, **more: object) -> Sequence[str]:
    body = {"history": ["c"], "k": 9, **more}
    answer = (await client.post("/v1/recommendations", json=body)).json()
    return [item["item_id"] for item in answer["items"]]


async def item(client: httpx.AsyncClient, item_id: str) -> Any:
    return (await client.get(f"/v1/items/{item_id}")).json()


async def test_one_request_adds_hides_edits_and_removes_items(client: httpx.AsyncClient) -> None:
    old = NEW | {"item_id": "old"}
    assert await change(client, old) == done(1)
    changes = (
        NEW,
        {"item_id": "d", "hidden": True},
        {"item_id": "e", "title": "Other", "attributes": {"colour": ["red"]}},
        {"item_id": "old", "removed": True},
    )
    assert await change(client, *changes) == done(4)
    assert await recommended(client) == ["new", *"efghab"]
    assert (await client.get("/v1/items/d")).status_code == 404
    assert (await item(client, "e"))["title"] == "Other"
    assert await recommended(client, allow={"colour": ["red"], "letter": ["n"]}) == []
    assert await recommended(client, allow={"colour": ["red"]}) == ["e"]
    assert (await client.get("/v1/items/old")).status_code == 404


async def test_lines_of_json_are_changes_and_empty_lines_are_none(
    client: httpx.AsyncClient,
) -> None:
    lines = [json.dumps(NEW), "", '{"item_id": "d", "hidden": true}', ""]
    answer = await client.post("/v1/items/bulk", content="\n".join(lines), headers=LINES)
    assert answer.json() == done(2)
    assert await recommended(client) == ["new", *"efghab"]


async def test_a_request_that_is_sent_again_changes_nothing(client: httpx.AsyncClient) -> None:
    changes = (NEW, {"item_id": "d", "hidden": True}, {"item_id": "no such", "removed": True})
    for _ in range(2):
        assert await change(client, *changes) == done(3)
        assert await recommended(client) == ["new", *"efghab"]


async def test_a_change_that_fails_stops_no_other(client: httpx.AsyncClient) -> None:
    answer = await change(
        client,
        {"item_id": "d", "hidden": True},
        {"item_id": "d", "hiden": True},
        {"item_id": "a", "removed": True},
        {"item_id": "no such", "hidden": True},
        NEW | {"embedding": [1, 2]},
        {"item_id": "later", "title": "Later"},
        5,
        {"title": "of nothing"},
        {"item_id": "e", "hidden": True},
    )
    assert (answer["processed"], answer["failed"]) == (9, 7)
    assert [(each["place"], each["item_id"], each["status"]) for each in answer["failures"]] == [
        (1, "d", 422),
        (2, "a", 409),
        (3, "no such", 404),
        (4, "new", 422),
        (5, "later", 503),
        (6, None, 422),
        (7, None, 422),
    ]
    details = [each["detail"] for each in answer["failures"]]
    assert details[0] == "'hiden': no such field"
    assert details[2] == "no item 'no such': send a title to add it"
    assert details[3] == "embedding: holds 2 numbers, not 8"
    assert details[4].startswith("no teacher is connected")
    assert details[6] == "item_id: Field required"
    assert await recommended(client) == [*"fghab"]


async def test_a_full_store_refuses_what_is_beyond_its_limit(client: httpx.AsyncClient) -> None:
    changes = [{"item_id": each, "hidden": True} for each in "defg"]
    answer = await change(client, *changes, *(NEW | {"item_id": f"n{n}"} for n in range(3)))
    failures = [(each["item_id"], each["status"], each["detail"]) for each in answer["failures"]]
    assert failures == [
        ("g", 409, "3 items are edited already, which is the maximum: remove one first"),
        ("n2", 409, "2 items are added already, which is the maximum: remove one first"),
    ]
    assert sorted(await recommended(client)) == [*"abgh", "n0", "n1"]


async def test_additions_that_a_full_store_refuses_take_no_room_of_edits(
    client: httpx.AsyncClient,
) -> None:
    assert await change(client, *(NEW | {"item_id": f"n{n}"} for n in range(2))) == done(2)
    hidden = [NEW | {"item_id": f"n{n}", "hidden": True} for n in range(2, 5)]
    assert (await change(client, *hidden))["failed"] == 3
    assert await change(client, *({"item_id": each, "hidden": True} for each in "def")) == done(3)


async def test_an_addition_that_a_full_store_refuses_leaves_an_older_edit_as_it_was(
    client: httpx.AsyncClient,
) -> None:
    edits = runtime_of(client).item_edits
    await edits.edit_many({"n2": {"attributes": {"letter": ["z"]}}})  # of another bundle
    await change(client, *(NEW | {"item_id": f"n{n}"} for n in range(2)))
    bare = {"item_id": "n2", "title": "Brand new", "embedding": NEW["embedding"]}
    assert (await change(client, bare | {"hidden": True, "attributes": {}}))["failed"] == 1
    assert await change(client, {"item_id": "n0", "removed": True}) == done(1)
    assert await change(client, bare) == done(1)
    assert (await item(client, "n2"))["attributes"] == {"letter": ["z"]}


async def test_fields_of_an_added_item_that_are_left_out_stay(client: httpx.AsyncClient) -> None:
    await change(client, NEW)
    await client.patch("/v1/items/new", json={"title": "Edited", "attributes": {}})
    await change(client, {"item_id": "new", "title": "Brand new"})
    assert (await item(client, "new"))["title"] == "Brand new"
    await change(client, {"item_id": "new", "attributes": {"letter": ["m"]}})
    assert (await item(client, "new"))["attributes"] == {"letter": ["m"]}
    assert (await recommended(client))[0] == "new"
    await change(client, {"item_id": "new", "hidden": True})
    assert await recommended(client) == [*"defghab"]
    await change(client, {"item_id": "new", "hidden": False})
    assert (await recommended(client))[0] == "new"


async def test_an_added_item_keeps_its_vector_if_another_is_removed(
    client: httpx.AsyncClient,
) -> None:
    like_e = NEW | {"item_id": "like e", "embedding": [0, 0, 0, 0, 2, 0, 0, 0]}
    await change(client, NEW, like_e)
    assert await recommended(client, k=3) == ["new", "like e", "d"]
    await change(client, {"item_id": "new", "removed": True})
    assert await recommended(client, k=3) == ["like e", "d", "e"]
    similar = (await client.get("/v1/items/like%20e/similar?k=1")).json()["items"]
    assert [item["item_id"] for item in similar] == ["e"]
    await change(client, NEW)
    assert await recommended(client, k=3) == ["new", "like e", "d"]


async def test_changes_of_one_item_are_made_in_their_order(client: httpx.AsyncClient) -> None:
    answer = await change(
        client,
        NEW,
        {"item_id": "new", "hidden": True},
        {"item_id": "new", "removed": True},
        {"item_id": "d", "hidden": True},
        {"item_id": "d", "hidden": False},
        NEW | {"title": "Newer"},
    )
    assert answer == done(6)
    assert await recommended(client) == ["new", *"defghab"]
    assert (await item(client, "new"))["title"] == "Newer"


async def test_a_later_change_of_a_request_has_what_an_earlier_one_has_changed(
    client: httpx.AsyncClient,
) -> None:
    await change(client, NEW)
    newer = {"item_id": "new", "title": "Newer", "embedding": NEW["embedding"]}
    coloured = {"item_id": "new", "attributes": {"colour": ["red"]}}
    assert await change(client, coloured, newer) == done(2)
    assert (await item(client, "new"))["title"] == "Newer"
    assert (await item(client, "new"))["attributes"] == {"colour": ["red"]}
    answer = await change(client, {"item_id": "new", "removed": True}, coloured)
    assert [(each["place"], each["status"]) for each in answer["failures"]] == [(1, 404)]


async def test_the_store_is_read_at_both_ends_of_a_request_and_not_for_each_slice(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("api.routes.catalog.bulk_items", "bundles.bulk_changes"):
        monkeypatch.setattr(f"service.{module}.IN_SLICE", 1)
    reads: list[AddedItems] = []
    refresh = AddedItems.refresh

    def counted(added: AddedItems) -> Awaitable[None]:
        reads.append(added)
        return refresh(added)

    monkeypatch.setattr(AddedItems, "refresh", counted)
    changes = [*(NEW | {"item_id": f"n{n}"} for n in range(2)), {"item_id": "d", "hidden": True}]
    assert await change(client, *changes) == done(3)
    assert len(reads) == 2
    assert sorted(await recommended(client)) == [*"abefgh", "n0", "n1"]


async def test_the_place_of_an_item_that_is_removed_is_free_for_one_that_is_added(
    client: httpx.AsyncClient,
) -> None:
    assert await change(client, NEW, NEW | {"item_id": "old"}) == done(2)
    removal = {"item_id": "old", "removed": True}
    assert await change(client, removal, NEW | {"item_id": "newer"}) == done(2)


async def test_other_workers_and_the_next_start_have_the_changes(
    client: httpx.AsyncClient, settings: Settings, connect: "Connect"
) -> None:
    async with connect(settings) as other:
        await change(client, NEW, {"item_id": "d", "hidden": True})
        # The other worker need not have heard of an item that a change names.
        assert await change(other, {"item_id": "new", "attributes": {}}) == done(1)
        with anyio.fail_after(PATIENCE_SECONDS):
            while await recommended(other) != ["new", *"efghab"]:
                await anyio.sleep(0.02)
    async with connect(settings) as restarted:
        assert await recommended(restarted) == ["new", *"efghab"]


async def test_a_request_whose_time_is_over_says_how_far_it_came(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.api.routes.catalog.bulk_items.IN_SLICE", 1)
    caller = Caller("", wait_seconds=0, has_left=bool)
    monkeypatch.setattr("service.api.routes.catalog.bulk_items.caller_of", lambda _: caller)
    changes = [{"item_id": each, "hidden": True} for each in "de"]
    assert await change(client, *changes, 5) == done(1)
    assert await recommended(client) == [*"efghab"]


@pytest.mark.parametrize(
    ("body", "content_type", "detail"),
    [
        (b"[]", "application/json", "body: must be a JSON object with the one key `items`"),
        (b'{"items": []}', "application/json", "items: must be 1 to 10,000 items, not 0"),
        (b"{}\n" * 10_001, LINES["content-type"], "items: must be 1 to 10,000 items, not 10001"),
        (b"{}", "text/csv", "must be sent as application/json or as application/x-ndjson"),
    ],
)
async def test_a_body_without_a_list_of_items_is_refused(
    client: httpx.AsyncClient, body: bytes, content_type: str, detail: str
) -> None:
    headers = {"content-type": content_type}
    answer = await client.post("/v1/items/bulk", content=body, headers=headers)
    assert answer.status_code == 422
    assert detail in answer.json()["detail"]


async def test_only_the_first_failures_are_named(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/items/bulk", content="{}\n" * 150, headers=LINES)
    body = answer.json()
    assert (body["processed"], body["failed"], len(body["failures"])) == (150, 150, 100)
