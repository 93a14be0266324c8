import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from export.contract.bundle import Item
from export.contract.columns.mapped_items import MappedItems
from service.api.routes import page
from service.settings import Settings
from tests.service.bundles.test_columns import with_columns

if TYPE_CHECKING:
    from tests.service.conftest import Connect

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[4]


async def referred_files(client: httpx.AsyncClient) -> set[str]:
    """The files of the page, found as a browser does: by references from the page on."""
    found, new = {"/"}, {"/"}
    while new:
        texts = [(await client.get(each)).text for each in new]
        names = re.findall(r'"(?:/static|\.)/(\w+\.\w+)"', "".join(texts))
        new = {f"/static/{name}" for name in names} - found
        found |= new
    return found


async def test_the_page_finds_all_its_files(client: httpx.AsyncClient) -> None:
    files = await referred_files(client)
    assert {"/static/page.js", "/static/api.js", "/static/page.css", "/static/icon.svg"} < files
    for each in files:
        assert (await client.get(each)).status_code == 200


async def test_no_page_links_to_what_the_balancer_of_the_stack_hides(
    client: httpx.AsyncClient,
) -> None:
    balancer = (ROOT / "docker/balancer/haproxy.cfg").read_text(encoding="utf-8")
    hidden = set(re.findall(r"return status 404 .* if \{ path (\S+) \}", balancer))
    assert "/metrics" in hidden
    for each in ("/", "/static/experiments.html", "/static/operations.html"):
        links = set(re.findall(r'<a href="([^"]+)"', (await client.get(each)).text))
        assert "/docs" in links
        assert not links & hidden


async def test_every_file_of_the_page_lets_the_browser_load_from_this_service_only(
    client: httpx.AsyncClient,
) -> None:
    for each in await referred_files(client):
        headers = (await client.get(each)).headers
        assert headers["content-security-policy"].startswith("default-src 'self'; ")
        assert headers["x-content-type-options"] == "nosniff"


async def test_a_file_that_the_browser_has_is_not_sent_again(client: httpx.AsyncClient) -> None:
    first = await client.get("/static/page.js")
    again = await client.get("/static/page.js", headers={"If-None-Match": first.headers["etag"]})
    assert first.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fapp.py", "%2Fetc%2Fpasswd"])
async def test_files_outside_of_the_page_are_not_served(
    client: httpx.AsyncClient, name: str
) -> None:
    response = await client.get(f"/static/{name}")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


async def examples(connect: "Connect", settings: Settings) -> list[list[dict[str, Any]]]:
    async with connect(settings) as client:
        response = await client.get("/v1/examples")
    histories: list[list[dict[str, Any]]] = response.raise_for_status().json()["histories"]
    return histories


async def test_the_examples_are_the_histories_of_the_bundle_if_the_settings_say_so(
    connect: "Connect", bundle_path: Path
) -> None:
    histories = await examples(connect, Settings(bundle_path=bundle_path, examples="bundle"))
    assert [[item["item_id"] for item in history] for history in histories] == [["a", "c"], ["h"]]
    assert histories[1][0]["title"] == "Jaws"


async def test_by_default_the_examples_are_made_from_popular_items_and_no_user_is_shown(
    connect: "Connect", bundle_path: Path
) -> None:
    (history,) = await examples(connect, Settings(bundle_path=bundle_path))
    assert [item["item_id"] for item in history] == ["h", "g", "f", "e", "d"]


async def test_the_examples_read_no_line_but_those_of_their_items_whatever_else_is_edited(
    connect: "Connect", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "MAX_EXAMPLES", 1)
    rows, read = list[Any](), MappedItems.__getitem__

    def noting_the_row(items: MappedItems, row: Any) -> Any:
        rows.append(row)
        return read(items, row)

    settings = Settings(bundle_path=with_columns(tmp_path), items_path=tmp_path / "items")
    async with connect(settings) as client:
        for item_id in "abch":
            await client.patch(f"/v1/items/{item_id}", json={"title": f"New {item_id}"})
        await client.patch("/v1/items/g", json={"hidden": True})
        monkeypatch.setattr(MappedItems, "__getitem__", noting_the_row)
        (history,) = (await client.get("/v1/examples")).json()["histories"]
    assert [item["item_id"] for item in history] == ["h", "f", "e", "d", "c"]
    assert sorted(rows) == [3, 4, 5]  # d, e and f: those with edits are in memory


async def test_popular_items_are_dealt_out_to_histories_of_five() -> None:
    items = [Item(str(place), "") for place in range(12)]
    made = [[item.item_id for item in history] for history in page._made(items)]
    assert made == [["0", "2", "4", "6", "8"], ["1", "3", "5", "7", "9"]]
    assert page._made([]) == [[]]


async def test_there_are_no_examples_if_they_are_off(connect: "Connect", bundle_path: Path) -> None:
    assert await examples(connect, Settings(bundle_path=bundle_path, examples="off")) == []
