"""Sessions of two tenants never meet, though they have the same ids."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from pydantic import SecretStr

from service.settings import Settings

if TYPE_CHECKING:
    from tests.conftest import RedisServer
    from tests.service.access.conftest import Keys
    from tests.service.conftest import Connect

pytestmark = pytest.mark.anyio

SESSION = "/v1/sessions/visit"


@pytest.fixture(params=["memory", "redis"])
async def client(
    request: pytest.FixtureRequest,
    bundle_path: Path,
    keys: "Keys",
    connect: "Connect",
    redis_server: "RedisServer",
) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(bundle_path=bundle_path, keys_file=keys.path)
    if request.param == "redis":
        shared = {"redis_url": SecretStr(redis_server.url), "session_secret": SecretStr("s" * 32)}
        settings = settings.model_copy(update=shared)
    async with connect(settings) as client:
        yield client


@pytest.mark.parametrize("media_type", ["application/json", "application/json; charset=utf-8"])
async def test_a_tenant_neither_reads_nor_erases_nor_recommends_from_the_session_of_another(
    client: httpx.AsyncClient, keys: "Keys", media_type: str
) -> None:
    """By a fast lane, and by FastAPI, which alone takes the longer media type."""
    ours, theirs = (dict(keys.headers[name]) for name in ("all", "other tenant"))

    async def post(path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
        sent = headers | {"Content-Type": media_type}
        return await client.post(path, content=body, headers=sent)

    await post(f"{SESSION}/events", b'{"item_id": "a"}', ours)
    assert (await client.get(SESSION, headers=theirs)).status_code == 404
    await post(f"{SESSION}/events", b'{"item_id": "e"}', theirs)
    assert (await client.get(SESSION, headers=theirs)).json()["history"] == ["e"]
    for headers, next_item in ((ours, "b"), (theirs, "f")):
        query = b'{"session_id": "visit", "k": 1}'
        answers = [
            await post("/v1/recommendations", query, headers),
            await client.get(f"{SESSION}/recommendations?k=1", headers=headers),
            await post("/v1/recommendations/batch", b'{"requests": [' + query + b"]}", headers),
        ]
        found = [each.json().get("answers", [each.json()])[0]["items"] for each in answers]
        assert [[item["item_id"] for item in items] for items in found] == [[next_item]] * 3
    assert (await client.delete(SESSION, headers=theirs)).status_code == 204
    assert (await client.get(SESSION, headers=ours)).json()["history"] == ["a"]


async def test_two_keys_of_a_tenant_share_its_sessions(
    client: httpx.AsyncClient, keys: "Keys"
) -> None:
    write, read = (dict(keys.headers[name]) for name in ("write", "read"))
    await client.post(f"{SESSION}/events", json={"item_id": "a"}, headers=write)
    assert (await client.get(SESSION, headers=read)).json()["history"] == ["a"]


async def test_popular_items_are_those_of_the_events_of_the_tenant(
    bundle_path: Path, keys: "Keys", connect: "Connect", redis_server: "RedisServer"
) -> None:
    """Ours has two events with a and one with b; theirs has one with c, and then h fills up."""
    settings = Settings(
        bundle_path=bundle_path,
        keys_file=keys.path,
        event_log="on",
        redis_url=SecretStr(redis_server.url),
    )
    ours, theirs = (dict(keys.headers[name]) for name in ("all", "other tenant"))
    async with connect(settings) as client:
        for item, headers in (("a", ours), ("a", ours), ("b", ours), ("c", theirs)):
            await client.post(f"{SESSION}/events", json={"item_id": item}, headers=headers)
    async with connect(settings) as client:  # the first has counted all of its events
        answers = [
            (await client.get("/v1/popular?window=1h&k=2", headers=headers)).json()
            for headers in (ours, theirs)
        ]
    found = [[item["item_id"] for item in each["items"]] for each in answers]
    assert found == [["a", "b"], ["c", "h"]]
    assert [each["events"] for each in answers] == [3, 1]
