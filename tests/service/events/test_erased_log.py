"""Erasure of a session or a user, in histories and in the event log."""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis

from export.contract.log.events import STREAMS, Event, Tombstone
from service.settings import Settings
from service.stores.session_refs import session_ref
from service.stores.session_refs import user_ref as user_ref_of
from tests.service.events.conftest import REF, SECRET, Log, left_of, post

if TYPE_CHECKING:
    from tests.service.conftest import Connect

pytestmark = pytest.mark.anyio


async def test_a_session_that_is_deleted_is_erased_in_the_log(
    log: Log, serve: Callable[..., Any]
) -> None:
    async with serve() as client:
        await post(client, "a", "?k=1")
        await client.post("/v1/sessions/bob/events", json={"item_id": "a"})
        assert (await client.delete("/v1/sessions/ann")).status_code == 204
        await post(client, "b")
        assert (await client.get("/v1/sessions/ann")).json()["history"] == ["b"]
    records = log.records()
    (tombstone,) = [each for each in records if isinstance(each, Tombstone)]
    assert (tombstone.tenant, tombstone.session_ref, tombstone.user_ref) == ("default", REF, None)
    assert sorted((each.session_ref == REF, type(each)) for each in left_of(records)) == [
        (False, Event),
        (True, Event),
    ]


@pytest.mark.parametrize("server", ["redis_server", "redis_cluster"])
async def test_of_an_erased_session_only_its_tombstone_is_left_when_the_log_is_collected(
    tmp_path: Path,
    bundle_path: Path,
    connect: "Connect",
    request: pytest.FixtureRequest,
    server: str,
) -> None:
    log = Log(tmp_path, request.getfixturevalue(server))
    more = {"store_outage": "journal", "journal_path": tmp_path / "journal"}
    settings = Settings.model_validate({"bundle_path": bundle_path, **log.settings, **more})
    async with connect(settings) as client:
        await post(client, "a", "?k=1", event_id="e1", user_id="customer")
        await client.delete("/v1/sessions/ann")
    kind = redis.RedisCluster if log.settings["redis_cluster"] else redis.Redis
    client_of_redis: Any = kind.from_url(log.settings["redis_url"], decode_responses=True)
    with client_of_redis as raw:
        for stream in STREAMS:
            raw.delete(stream)
        read = {"list": lambda key: raw.lrange(key, 0, -1), "set": raw.smembers, "string": raw.get}
        counts = {key: raw.zrange(key, 0, -1, withscores=True) for key in raw.scan_iter("counts:*")}
        found = {key: read[raw.type(key)](key) for key in raw.scan_iter() if key not in counts}
    assert [key[0] for key in found] == ["f"]
    assert REF not in repr(found)
    # The event still counts for its item, without a word of session or user.
    expected = {"n": -1, "f": 0, "ia": 1}  # see service/stores/counts/redis_store.py
    assert [dict(each) for each in counts.values()] == 3 * [expected]
    assert {key.split(":", 3)[3] for key in counts} == {"default:click"}


async def test_a_user_is_erased_with_all_sessions(log: Log, serve: Callable[..., Any]) -> None:
    user_ref = user_ref_of(SECRET, "default", "customer")
    async with serve(impressions=0) as client:
        for session_id, user_id in (("ann", "customer"), ("bob", "customer"), ("eve", "other")):
            body = {"item_id": "a", "user_id": user_id}
            await client.post(f"/v1/sessions/{session_id}/events", json=body)
        assert (await client.delete("/v1/users/customer")).status_code == 204
        for session_id, status in (("ann", 404), ("bob", 404), ("eve", 200)):
            assert (await client.get(f"/v1/sessions/{session_id}")).status_code == status
        assert (await client.delete("/v1/users/customer")).status_code == 204
    records = log.records()
    tombstones = [each for each in records if isinstance(each, Tombstone)]
    refs = {session_ref(SECRET, "default", each) for each in ("ann", "bob")}
    assert {each.session_ref for each in tombstones} == {*refs, None}
    assert {each.user_ref for each in tombstones} == {user_ref, None}
    assert [each.session_ref for each in left_of(records)] == [
        session_ref(SECRET, "default", "eve")
    ]


@pytest.mark.parametrize("server", ["redis_server", "redis_cluster"])
async def test_a_user_is_erased_with_sessions_that_have_moved_to_another_secret_since(
    tmp_path: Path,
    bundle_path: Path,
    connect: "Connect",
    request: pytest.FixtureRequest,
    server: str,
) -> None:
    log = Log(tmp_path, request.getfixturevalue(server))
    before = Settings.model_validate({"bundle_path": bundle_path, **log.settings})
    rotated = {"session_secret": secrets.token_hex(32), "session_secret_old": SECRET}
    after = Settings.model_validate({"bundle_path": bundle_path, **log.settings, **rotated})
    async with connect(before) as client:
        await post(client, "a", user_id="customer")
    async with connect(after) as client:
        await post(client, "b")  # without the user
        assert (await client.get("/v1/sessions/ann")).json()["history"] == ["a", "b"]
        assert (await client.delete("/v1/users/customer")).status_code == 204
        assert (await client.get("/v1/sessions/ann")).status_code == 404
    records = log.records()
    assert [each for each in records if isinstance(each, Event)]
    assert not [each for each in left_of(records) if isinstance(each, Event)]
