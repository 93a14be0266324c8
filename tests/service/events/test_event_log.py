"""Records in the event log: in memory and on disk, in Redis, and in a cluster."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
import redis

from export.contract.log.events import (
    Event,
)
from export.contract.log.segments import SegmentWriter
from service.settings import Settings
from service.stores.history.redis_keys import stream_of
from tests.conftest import RedisServer
from tests.service.conftest import PATIENCE_SECONDS
from tests.service.events.conftest import REF, Log, post

if TYPE_CHECKING:
    from tests.service.conftest import Connect

pytestmark = pytest.mark.anyio


async def test_an_event_is_logged_with_all_that_was_said_of_it(
    log: Log, serve: Callable[..., Any]
) -> None:
    before = time.time_ns() // 1_000_000
    shown, timestamp = "0" * 48, before - 60_000
    async with serve() as client:
        answer = await post(
            client,
            "é",
            event_id="e1",
            event_type="purchase",
            timestamp=timestamp,
            value=9.5,
            recommendation_id=shown,
        )
    assert (answer["stored"], answer["logged"]) == (True, True)
    (event,) = log.events()
    assert before <= event.received_at <= time.time_ns() // 1_000_000
    assert event._replace(received_at=0, sequence=0) == Event(
        1, "e1", "default", REF, "purchase", "é", timestamp, 0, 9.5, shown, None
    )


async def test_events_without_id_and_time_get_them(log: Log, serve: Callable[..., Any]) -> None:
    async with serve() as client:
        for item_id in "ab":
            await post(client, item_id)
    first, second = sorted(log.events(), key=lambda each: each.sequence)
    assert (first.item_id, second.item_id) == ("a", "b")
    assert (len(first.event_id), first.event_id == second.event_id) == (32, False)
    assert (first.event_type, first.timestamp) == ("click", first.received_at)


async def test_an_event_that_is_sent_again_is_logged_once(
    log: Log, serve: Callable[..., Any]
) -> None:
    async with serve() as client:
        for _ in range(3):
            answer = await post(client, "a", event_id="e1")
            assert (answer["stored"], answer["logged"]) == (True, True)
        await post(client, "a", event_id="e2")
    assert Counter(each.event_id for each in log.events()) == {"e1": 1, "e2": 1}


async def test_an_event_without_consent_and_its_answer_are_not_logged(
    log: Log, serve: Callable[..., Any]
) -> None:
    async with serve() as client:
        answer = await post(client, "a", "?k=2", consent=False)
    assert (answer["stored"], answer["logged"]) == (False, False)
    assert log.records() == []


async def test_an_answer_to_a_query_without_consent_is_not_logged(
    log: Log, serve: Callable[..., Any]
) -> None:
    query = {"session_id": "ann", "history": ["a"], "k": 2, "consent": False}
    explained = query | {"explain": True}
    agreeing = {"history": ["a"], "k": 2}
    async with serve() as client:
        for route, body in {
            "": query,
            "?": explained,
            "/batch": {"requests": [query, agreeing]},
        }.items():
            response = await client.post(f"/v1/recommendations{route}", json=body)
            assert response.status_code == 200, response.text
        for more in ("", "&explain=true"):
            path = f"/v1/sessions/ann/recommendations?consent=false{more}"
            assert (await client.get(path)).status_code == 200
    (shown,) = log.impressions()
    assert shown.session_ref is None


async def test_an_event_of_a_type_that_no_history_has_is_logged_once(
    log: Log, serve: Callable[..., Any]
) -> None:
    async with serve(history_event_types="click", impressions=0) as client:
        await post(client, "c")
        for _ in range(2):
            answer = await post(client, "f", "?k=1", event_type="view", event_id="e1")
            assert (answer["stored"], answer["logged"]) == (True, True)
            assert [each["item_id"] for each in answer["items"]] == ["d"]
    assert [(each.item_id, each.event_type) for each in log.records()] == [  # type: ignore[union-attr]
        ("c", "click"),
        ("f", "view"),
    ]


async def test_what_was_shown_is_logged_in_its_order(log: Log, serve: Callable[..., Any]) -> None:
    async with serve() as client:
        clicked = await post(client, "c", "?k=3")
        body = {"history": ["a"], "k": 2, "deny": {"vowel": ["yes"]}}
        asked = (await client.post("/v1/recommendations", json=body)).json()
    by_id = {each.recommendation_id: each for each in log.impressions()}
    assert by_id.keys() == {clicked["recommendation_id"], asked["recommendation_id"]}
    first, second = (by_id[each["recommendation_id"]] for each in (clicked, asked))
    assert (list(first.items), first.session_ref, first.filters) == (["d", "e", "f"], REF, "")
    assert (first.variant, first.model_version) == ("default", clicked["model_version"])
    assert (first.source, first.degraded) == ("student", False)
    assert (list(second.items), second.session_ref) == (["b", "c"], None)
    assert json.loads(second.filters) == {"allow": {}, "deny": {"vowel": ["yes"]}}


@pytest.mark.parametrize(("share", "at_least", "at_most"), [(0.0, 0, 0), (0.5, 20, 80)])
async def test_a_share_of_what_was_shown_is_logged(
    tmp_path: Path,
    bundle_path: Path,
    connect: "Connect",
    share: float,
    at_least: int,
    at_most: int,
) -> None:
    log = Log(tmp_path, None)
    settings = {"bundle_path": bundle_path, **log.settings, "impressions": share}
    async with connect(Settings.model_validate(settings)) as client:
        for _ in range(100):
            await post(client, "c", "?k=1")
    assert at_least <= len(log.impressions()) <= at_most
    assert len(log.events()) == 100


def with_small_log(log: Log, bundle_path: Path) -> Settings:
    small = {"bundle_path": bundle_path, "event_log_max_bytes": 8 << 20}
    return Settings.model_validate(log.settings | small)


async def fill_stream(client: "httpx.AsyncClient") -> list[dict[str, Any]]:
    """Sends 300 long events of one session, more than its stream can hold; returns the answers."""
    return [await post(client, "a" * 250, event_id="e" * 100 + f"{n}") for n in range(300)]


def redis_of(log: Log) -> Any:
    kind = redis.RedisCluster if log.settings["redis_cluster"] else redis.Redis
    return kind.from_url(log.settings["redis_url"])


@pytest.mark.parametrize("server", ["redis_server", "redis_cluster"])
async def test_with_a_full_stream_events_are_stored_and_what_is_left_out_is_counted(
    tmp_path: Path,
    bundle_path: Path,
    connect: "Connect",
    request: pytest.FixtureRequest,
    server: str,
) -> None:
    log = Log(tmp_path, request.getfixturevalue(server))
    async with connect(with_small_log(log, bundle_path)) as client:
        answers = await fill_stream(client)
        assert all(each["stored"] for each in answers)
        logged = sum(each["logged"] for each in answers)
        assert 150 < logged < 300
        assert [each["logged"] for each in answers] == [True] * logged + [False] * (300 - logged)
        again = await post(client, "a" * 250, event_id="e" * 100 + "299")
        assert (again["stored"], again["logged"]) == (True, False)
        assert len((await client.get("/v1/sessions/ann")).json()["history"]) == 200
        metrics = (await client.get("/metrics")).text
        left_out = f'log_left_out_total{{kind="event",reason="log_full"}} {300 - logged}.0'
        assert left_out in metrics
        # The last eighth of a stream is for tombstones.
        assert (await client.delete("/v1/sessions/ann")).status_code == 204
    with redis_of(log) as raw:
        assert 7 << 14 < raw.memory_usage(stream_of(REF)) < 8 << 14
    assert (len(log.events()), len(log.records())) == (logged, logged + 1)


@pytest.mark.parametrize("server", ["redis_server", "redis_cluster"])
async def test_an_event_that_a_full_log_left_out_is_logged_once_when_sent_again_after_collecting(
    tmp_path: Path,
    bundle_path: Path,
    connect: "Connect",
    request: pytest.FixtureRequest,
    server: str,
) -> None:
    log = Log(tmp_path, request.getfixturevalue(server))
    async with connect(with_small_log(log, bundle_path)) as client:
        answers = await fill_stream(client)
        assert answers[-1]["logged"] is False
        with redis_of(log) as raw:
            raw.xtrim(stream_of(REF), maxlen=0)  # as a collector empties it
        for _ in range(2):
            again = await post(client, "a" * 250, event_id="e" * 100 + "299")
            assert (again["stored"], again["logged"]) == (True, True)
        assert len((await client.get("/v1/sessions/ann")).json()["history"]) == 200
    assert [each.event_id for each in log.events()] == ["e" * 100 + "299"]


async def test_with_a_broken_disk_events_are_stored_and_what_is_left_out_is_counted(
    tmp_path: Path, bundle_path: Path, connect: "Connect", monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: SegmentWriter, __: bytes) -> None:
        raise OSError("a broken disk")

    log = Log(tmp_path, None)
    settings = Settings.model_validate({"bundle_path": bundle_path, **log.settings})
    async with connect(settings) as client:
        with monkeypatch.context() as broken:
            broken.setattr(SegmentWriter, "write", fail)
            answer = await post(client, "a", event_id="e1")
            assert (answer["stored"], answer["logged"]) == (True, False)
            answer = await post(client, "a", event_id="e1")
            assert (answer["stored"], answer["logged"]) == (True, False)
            assert (await client.delete("/v1/sessions/ann")).status_code == 503
        metrics = (await client.get("/metrics")).text
        assert 'log_left_out_total{kind="event",reason="log_failed"} 1.0' in metrics
        assert (await post(client, "b"))["logged"] is True
        again = await asyncio.gather(*(post(client, "a", event_id="e1") for _ in range(3)))
        assert [each["logged"] for each in again] == [True] * 3
    assert [each.item_id for each in log.events()] == ["b", "a"]


async def test_a_log_is_off_by_default(
    tmp_path: Path, bundle_path: Path, connect: "Connect", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with connect(Settings(bundle_path=bundle_path)) as client:
        answer = await post(client, "a", "?k=1")
        await client.delete("/v1/sessions/ann")
    assert answer["logged"] is None
    assert list(tmp_path.iterdir()) == []


async def test_an_event_that_waited_in_the_journal_is_logged_with_its_replay(
    tmp_path: Path, bundle_path: Path, connect: "Connect", mortal_redis: RedisServer
) -> None:
    log = Log(tmp_path, mortal_redis)
    settings = log.settings | {
        "bundle_path": bundle_path,
        "store_outage": "journal",
        "journal_path": tmp_path / "journal",
        "redis_pause_seconds": 0.05,
    }
    async with connect(Settings.model_validate(settings)) as client:
        mortal_redis.kill()
        answer = await post(client, "a", event_id="e1")
        assert (answer["reason"], answer["logged"]) == ("journalled", False)
        mortal_redis.start()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not log.events() and time.monotonic() < deadline:
            await anyio.sleep(0.05)
        await post(client, "a", event_id="e1")
    assert [(each.event_id, each.session_ref) for each in log.events()] == [("e1", REF)]
