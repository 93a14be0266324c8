import re

import httpx
import pytest

pytestmark = pytest.mark.anyio


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


async def test_the_examples_are_the_histories_of_the_bundle(client: httpx.AsyncClient) -> None:
    histories = (await client.get("/v1/examples")).json()["histories"]
    assert [[item["item_id"] for item in history] for history in histories] == [["a", "c"], ["h"]]
    assert histories[1][0]["title"] == "Jaws"
