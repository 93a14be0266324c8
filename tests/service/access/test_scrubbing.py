"""A byte search after a load: no session id, title or key in a log, trace, metric or Redis key."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import redis as redis_library

from service.access.key_commands import NewKey, create_key
from service.access.principal import Scope
from tests.service.access.conftest import header
from tests.service.conftest import PATIENCE_SECONDS, served
from tests.service.telemetry.test_tracing import Collector

if TYPE_CHECKING:
    from tests.conftest import RedisServer

VISIT, TITLE, WORD = "zebra-visit", "Quagga at the crossing", "quagga"
SECRETS = (VISIT.encode(), TITLE.encode(), WORD.encode(), WORD.title().encode())
ADMIN_KEY = "okapi-admin-key-of-the-tests"
NEW = {"item_id": "new", "title": TITLE, "embedding": [0, 0, 0, 1, 0, 0, 0, 0]}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever)
    thread.start()
    yield collector
    collector.server.shutdown()
    collector.server.server_close()
    thread.join()


def load(client: httpx.Client) -> set[int]:
    """Sends requests of every kind with the session, the title and keys; returns the statuses."""
    session = f"/v1/sessions/{VISIT}"
    query = {"session_id": VISIT, "k": 2}
    long_path = f"/v1/sessions/{VISIT * 20}/events"
    answers = [
        client.post("/v1/items", json=NEW),
        client.post(f"{session}/events?k=2", json={"item_id": "c", "event_id": VISIT}),
        client.post(f"{session}/events", content=b'{"item_id": "c"}', headers=JSON),
        client.get(session),
        client.get(f"{session}/recommendations?k=2&explain=true"),
        client.post("/v1/recommendations", json=query | {"explain": True}),
        client.post("/v1/recommendations/batch", json={"requests": [query]}),
        client.post("/v1/compare", json=query),
        client.get(f"/v1/items?query={WORD}"),
        client.get(f"/v1/items/{VISIT}"),
        client.get(f"/v1/items/{VISIT}%2F{TITLE}/similar"),
        # What is refused.
        client.get(f"{session}/{TITLE}"),
        client.put(session),
        client.post(long_path, json={"item_id": TITLE}),
        client.post(f"{session}/events", content=f'{{"{TITLE}": "{VISIT}"'.encode(), headers=JSON),
        client.post("/v1/items", json={"item_id": "no", "title": TITLE}),
        client.post(f"/v1/recommendations?{VISIT}={WORD}", json=query),
        client.get(session, headers=header(f"nobody.{VISIT}")),
        client.get(session, headers=header(ADMIN_KEY)),
        client.get(f"/{VISIT}?{'x' * 10_000}"),
        client.delete(session),
        client.post(f"{session}-kept/events", json={"item_id": "c", "event_id": VISIT}),
    ]
    return {each.status_code for each in answers}


@pytest.mark.slow
@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_byte_search_after_a_load_finds_no_session_id_no_title_and_no_key(
    bundle_path: Path,
    mortal_redis: "RedisServer",
    collector: Collector,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    log_format: str,
) -> None:
    key = create_key(tmp_path / "keys", NewKey(frozenset(Scope)))
    settings = {
        "bundle_path": bundle_path,
        "redis_url": mortal_redis.url,
        "session_secret": "gnu" * 12,
        "old_session_keys": False,
        "keys_file": tmp_path / "keys",
        "admin_key": ADMIN_KEY,
        "teacher_url": "http://127.0.0.1:9",
        "log_format": log_format,
        "log_level": "debug",
        "log_requests": True,
        "tracing": True,
        "otel_exporter_otlp_endpoint": collector.url,
    }
    with (
        served(**settings) as url,
        httpx.Client(base_url=url, headers=header(key), timeout=PATIENCE_SECONDS) as client,
    ):
        statuses = load(client)
        redis = redis_library.Redis.from_url(mortal_redis.url, decode_responses=True)
        names = " ".join(map(str, redis.keys("*")))
        mortal_redis.kill()
        statuses |= load(client)
        metrics = client.get("/metrics").content
    logs = capfd.readouterr().err.encode()
    traces = b"".join(span.SerializeToString() for span in collector.spans)
    assert {200, 204, 401, 403, 404, 405, 414, 422, 503} <= statuses
    assert "s:{" in names
    places = {"log": logs, "trace": traces, "metrics": metrics, "keys": names.encode()}
    for place, content in places.items():
        assert len(content) > 20, place
        for each in (*SECRETS, key.partition(".")[2].encode(), ADMIN_KEY.encode()):
            assert content.find(each) < 0, (place, each, context(content, each))
    assert key.partition(".")[0].encode() not in metrics


def context(content: bytes, found: bytes) -> bytes:
    """Returns what is around a find, for the message of the test."""
    at = content.find(found)
    return content[max(0, at - 200) : at + 100]
