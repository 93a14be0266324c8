"""The service in processes of its own, called over the network."""

import json
import random
import socket
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from benchmarks.load.connection import Connection
from benchmarks.load.connection import post as post_request
from export.contract.bundles_folder import publish
from proofs.fixtures.processes.workers import (
    num_accepted,
    process_at,
)
from service.settings import Settings
from tests.service.conftest import PATIENCE_SECONDS, served

if TYPE_CHECKING:
    from tests.service.conftest import Serve

KEY = "a-key-for-the-tests"
get = partial(httpx.get, timeout=PATIENCE_SECONDS)
post = partial(httpx.post, timeout=PATIENCE_SECONDS)
delete = partial(httpx.delete, timeout=PATIENCE_SECONDS)


def test_two_processes_on_one_redis_see_the_same_sessions(serve: "Serve") -> None:
    one, other = serve(), serve()
    post(f"{one}/v1/sessions/s/events", json={"item_id": "a"})
    post(f"{other}/v1/sessions/s/events", json={"item_id": "c"})
    for url in (one, other):
        assert get(f"{url}/v1/sessions/s").json()["history"] == ["a", "c"]
    delete(f"{one}/v1/sessions/s")
    assert get(f"{other}/v1/sessions/s").status_code == 404


def test_an_item_posted_to_one_process_is_recommended_by_the_other_after_its_next_poll(
    serve: "Serve",
) -> None:
    assert Settings().items_poll_seconds < 1
    one, other = serve(), serve()
    new = {"item_id": "n", "title": "New", "embedding": [0, 0, 0, 2, 0, 0, 0, 0]}
    assert post(f"{one}/v1/items", json=new).is_success
    posted = time.monotonic()
    while "n" not in get(f"{other}/v1/items?query=new").text:
        assert time.monotonic() < posted + PATIENCE_SECONDS
    body = {"history": ["c"], "k": 1}
    for url in (one, other, serve()):
        answer = post(f"{url}/v1/recommendations", json=body).json()
        assert answer["items"] == [{"item_id": "n", "title": "New", "score": 16}]


@pytest.mark.slow
def test_a_bundle_activated_in_one_worker_is_served_by_all_and_no_request_fails(
    serve: "Serve", bundle_path: Path, save_bundle_with: Callable[..., Path], tmp_path: Path
) -> None:
    link = publish(bundle_path, tmp_path / "bundles")
    backwards = publish(save_bundle_with(scale=-1), tmp_path / "bundles").bundle
    link.move(str(link.previous))
    urls = [serve(bundle_path=link.path, admin_key=KEY, workers=2) for _ in range(2)]
    body = {"history": ["c"], "k": 1}

    def answering() -> Counter[str]:
        """Counts 60 answers, each on a new connection, by their model."""
        answers = [post(f"{url}/v1/recommendations", json=body) for url in urls * 30]
        return Counter(each.raise_for_status().json()["model_version"] for each in answers)

    assert set(answering()) == {link.bundle}
    headers = {"Authorization": f"Bearer {KEY}"}
    response = post(f"{urls[0]}/v1/model/activate", json={"bundle": backwards}, headers=headers)
    assert response.is_success
    activated = time.monotonic()
    while set(answering()) != {backwards}:
        assert time.monotonic() < activated + PATIENCE_SECONDS


def answer_on(connection: Connection, number: int, request: bytes) -> tuple[int, bytes]:
    """Sends request number `number`; returns status and body of its response."""
    connection.send(number, request)
    while (answer := connection.receive()) is None:
        pass
    return answer


@pytest.mark.slow
def test_events_of_many_clients_are_stored_once_and_in_order_even_if_sent_again(
    serve: "Serve",
) -> None:
    """20 clients, 500 events each, one in ten sent again, to either of two processes."""
    urls = [serve(max_session_length=600), serve(max_session_length=600)]
    sent = {f"client-{number}": [f"{number}-{each}" for each in range(500)] for number in range(20)}

    def send(session_id: str) -> None:
        connections = [Connection(httpx.URL(url).port or 80) for url in urls]
        generator = random.Random(session_id)  # noqa: S311 - a load, not a secret
        for place, item_id in enumerate(sent[session_id]):
            body = json.dumps({"item_id": item_id, "event_id": f"event-{place}"}).encode()
            request = post_request(f"/v1/sessions/{session_id}/events", body)
            for _ in range(2 if place % 10 == 0 else 1):
                status, answer = answer_on(generator.choice(connections), place, request)
                assert (status, json.loads(answer)["stored"]) == (200, True), answer
        for each in connections:
            each.close()

    with ThreadPoolExecutor(len(sent)) as clients:
        list(clients.map(send, sent))
    for session_id, item_ids in sent.items():
        stored = get(f"{urls[0]}/v1/sessions/{session_id}").json()["history"]
        assert stored == item_ids


def test_sigterm_ends_a_worker_with_exit_code_0_though_200_bodies_are_slow(
    bundle_path: Path,
) -> None:
    head = b"POST /v1/recommendations HTTP/1.1\r\nHost: [::1]\r\nContent-Type: application/json\r\n"
    with ExitStack() as clients, served(bundle_path=bundle_path, drain_seconds=1) as address:
        url = httpx.URL(address)
        port = url.port or 80
        for _ in range(200):
            slow = clients.enter_context(socket.create_connection((url.host, port)))
            slow.sendall(head + b"Content-Length: 9\r\n\r\n{")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while num_accepted(process_at(port), port) < 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
