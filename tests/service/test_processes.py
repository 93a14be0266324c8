"""The service as its own processes, asked over the network."""

import asyncio
import os
import random
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from export.publish import publish

if TYPE_CHECKING:
    from tests.conftest import RedisServer

KEY = "a-key-for-the-tests"
SCHEMATHESIS = """
seed = 1
workers = 1

[generation]
max-examples = 30
database = "none"

[phases.stateful]
enabled = false

[checks]
enabled = false
not_a_server_error = { enabled = true, expected-statuses = ["2xx", "3xx", "4xx", 503] }
status_code_conformance.enabled = true
content_type_conformance.enabled = true
response_headers_conformance.enabled = true
response_schema_conformance.enabled = true
"""

Serve = Callable[..., str]


@contextmanager
def served(**settings: object) -> Iterator[str]:
    """Runs `python -m service` until the block ends; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {name.upper(): str(value) for name, value in settings.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "service"], env=os.environ | environment | {"PORT": str(port)}
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(url)
        yield url
    finally:
        process.terminate()
        assert process.wait(timeout=15) in (0, -15)


def _wait_until_ready(url: str) -> None:
    for _ in range(200):
        try:
            if httpx.get(f"{url}/readyz").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise TimeoutError(url)


@pytest.fixture
def serve(bundle_path: Path, redis_server: "RedisServer") -> Iterator[Serve]:
    """Starts service processes on one Redis."""
    with ExitStack() as running:

        def start(**more: object) -> str:
            # Patient: what is claimed here is not how fast a busy machine is.
            settings = {
                "bundle_path": bundle_path,
                "redis_url": redis_server.url,
                "redis_timeout_seconds": 10,
            }
            return running.enter_context(served(**settings | more))

        yield start


def test_two_processes_on_one_redis_see_the_same_sessions(serve: Serve) -> None:
    one, other = serve(), serve()
    httpx.post(f"{one}/v1/sessions/s/events", json={"item_id": "a"})
    httpx.post(f"{other}/v1/sessions/s/events", json={"item_id": "c"})
    for url in (one, other):
        assert httpx.get(f"{url}/v1/sessions/s").json()["history"] == ["a", "c"]
    httpx.delete(f"{one}/v1/sessions/s")
    assert httpx.get(f"{other}/v1/sessions/s").status_code == 404


def test_an_item_posted_to_one_process_is_recommended_by_the_other_within_a_second(
    serve: Serve,
) -> None:
    one, other = serve(), serve()
    new = {"item_id": "n", "title": "New", "embedding": [0, 0, 0, 2, 0, 0, 0, 0]}
    assert httpx.post(f"{one}/v1/items", json=new).is_success
    posted = time.monotonic()
    while "n" not in httpx.get(f"{other}/v1/items?query=new").text:
        assert time.monotonic() < posted + 1
    body = {"history": ["c"], "k": 1}
    for url in (one, other, serve()):
        answer = httpx.post(f"{url}/v1/recommendations", json=body).json()
        assert answer["items"] == [{"item_id": "n", "title": "New", "score": 16}]


@pytest.mark.slow
def test_all_workers_of_all_processes_serve_a_bundle_that_one_was_told_to_and_fail_no_request(
    serve: Serve, bundle_path: Path, save_bundle_with: Callable[..., Path], tmp_path: Path
) -> None:
    link = publish(bundle_path, tmp_path / "bundles")
    backwards = publish(save_bundle_with(scale=-1), tmp_path / "bundles").bundle
    link.move(str(link.previous))
    urls = [serve(bundle_path=link.path, admin_key=KEY, workers=2) for _ in range(2)]
    body = {"history": ["c"], "k": 1}

    def answering() -> Counter[str]:
        """How many of 60 answers, each on a connection of its own, are of which model."""
        answers = [httpx.post(f"{url}/v1/recommendations", json=body) for url in urls * 30]
        return Counter(each.raise_for_status().json()["model_version"] for each in answers)

    assert set(answering()) == {link.bundle}
    headers = {"Authorization": f"Bearer {KEY}"}
    response = httpx.post(
        f"{urls[0]}/v1/model/activate", json={"bundle": backwards}, headers=headers
    )
    assert response.is_success
    activated = time.monotonic()
    while set(answering()) != {backwards}:
        assert time.monotonic() < activated + 10


@pytest.mark.slow
def test_events_of_many_clients_are_stored_once_and_in_order_however_often_they_are_sent(
    serve: Serve,
) -> None:
    """20 clients, 500 events each, one in ten sent again, to either of two processes."""
    urls = [serve(max_session_length=600), serve(max_session_length=600)]
    sent = {f"client-{number}": [f"{number}-{each}" for each in range(500)] for number in range(20)}

    async def send(client: httpx.AsyncClient, session_id: str, item_ids: list[str]) -> None:
        generator = random.Random(session_id)  # noqa: S311 - a load, not a secret
        for place, item_id in enumerate(item_ids):
            for _ in range(2 if place % 10 == 0 else 1):
                url = f"{generator.choice(urls)}/v1/sessions/{session_id}/events"
                body = {"item_id": item_id, "event_id": f"event-{place}"}
                response = await client.post(url, json=body)
                assert response.json()["stored"], response.text

    async def send_all() -> None:
        async with httpx.AsyncClient(timeout=30) as client, asyncio.TaskGroup() as tasks:
            for session_id, item_ids in sent.items():
                tasks.create_task(send(client, session_id, item_ids))

    asyncio.run(send_all())
    for session_id, item_ids in sent.items():
        stored = httpx.get(f"{urls[0]}/v1/sessions/{session_id}").json()["history"]
        assert stored == item_ids


@pytest.mark.slow
def test_whatever_openapi_allows_or_forbids_is_answered_as_it_says(
    serve: Serve, tmp_path: Path
) -> None:
    """Examples, border cases and random ones of every route; 503 means that no teacher is there."""
    url = serve(admin_key=KEY, max_added_items=50)
    config = tmp_path / "schemathesis.toml"
    config.write_text(SCHEMATHESIS)
    program = str(Path(sys.executable).with_name("schemathesis"))
    arguments = ["run", f"{url}/openapi.json", "--header", f"Authorization: Bearer {KEY}"]
    run = subprocess.run(
        [program, "--config-file", str(config), *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
    metrics = httpx.get(f"{url}/metrics").text
    for path in httpx.get(f"{url}/openapi.json").json()["paths"]:
        assert f'route="{path}"' in metrics
    unavailable = set(re.findall(r'_count{.*route="(.*?)",status="503"', metrics))
    assert unavailable <= {"/v1/compare", "/v1/items", "/v1/teacher/recommendations"}
