"""Keys on a running service: limits, rotation and revocation, over the network."""

import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from service.access.key_commands import NewKey, create_key, revoke_key
from service.access.principal import Limits, Scope
from service.settings import Settings
from tests.service.access.conftest import header
from tests.service.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.service.conftest import Connect, Serve

LANE, EVENT = "/v1/recommendations", "/v1/sessions/visit/events"
READ_WRITE = frozenset({Scope.READ, Scope.WRITE})


def limited(path: Path, limits: Limits) -> dict[str, str]:
    return header(create_key(path, NewKey(READ_WRITE, limits=limits)))


@pytest.mark.anyio
async def test_a_key_over_its_limit_is_answered_429_in_lanes_and_by_fastapi_alike(
    bundle_path: Path, connect: "Connect", tmp_path: Path
) -> None:
    headers = limited(tmp_path / "keys", Limits(0.001, 3))
    settings = Settings(bundle_path=bundle_path, keys_file=tmp_path / "keys")
    async with connect(settings) as client:
        # The first two are answered by a fast lane, the third one by FastAPI.
        first = [
            await client.post(LANE, json={"history": ["c"]}, headers=headers),
            await client.post(EVENT, json={"item_id": "c"}, headers=headers),
            await client.get("/v1/items", headers=headers),
        ]
        refused = [
            await client.post(LANE, json={"history": ["c"]}, headers=headers),
            await client.get("/v1/items", headers=headers),
        ]
        open_to_all = await client.get("/readyz", headers=headers)
    assert [each.status_code for each in first] == [200, 200, 200]
    for each in refused:
        assert each.status_code == 429
        seconds = each.headers["retry-after"]
        assert 400 <= int(seconds) <= 1_000  # 1,000 at first; a busy machine takes a moment
        assert each.json()["detail"] == f"this key is over its limit: send again in {seconds} s"
    assert open_to_all.status_code == 200


@pytest.mark.anyio
async def test_requests_that_the_key_may_not_make_do_not_count(
    bundle_path: Path, connect: "Connect", tmp_path: Path
) -> None:
    headers = limited(tmp_path / "keys", Limits(0.01, 1))
    settings = Settings(bundle_path=bundle_path, keys_file=tmp_path / "keys")
    async with connect(settings) as client:
        for _ in range(5):
            response = await client.delete("/v1/items/new", headers=headers)
            assert response.status_code == 403
        assert (await client.get("/v1/items", headers=headers)).status_code == 200


def ask(url: str, headers: Mapping[str, str]) -> int:
    """Sends a request on a connection of its own, so that any worker may get it."""
    body = {"history": ["c"], "k": 1}
    return httpx.post(
        f"{url}{LANE}", json=body, headers=headers, timeout=PATIENCE_SECONDS
    ).status_code


@pytest.mark.slow
def test_two_workers_hold_a_key_to_its_limits_together(serve: "Serve", tmp_path: Path) -> None:
    by_rate = limited(tmp_path / "keys", Limits(0.001, 20))
    by_day = limited(tmp_path / "keys", Limits(requests_per_day=30))
    url = serve(workers=2, keys_file=tmp_path / "keys")
    assert Counter(ask(url, by_rate) for _ in range(60)) == {200: 20, 429: 40}
    assert Counter(ask(url, by_day) for _ in range(60)) == {200: 30, 429: 30}


@pytest.mark.slow
def test_two_workers_let_no_more_pass_than_the_burst_and_what_the_rate_allows_meanwhile(
    serve: "Serve", tmp_path: Path
) -> None:
    """Three clients send at once, as fast as they can, until 25 requests have passed."""
    headers = limited(tmp_path / "keys", Limits(5.0, 10))
    url = serve(workers=2, keys_file=tmp_path / "keys")
    answers: Counter[int] = Counter()

    def send() -> None:
        while answers[200] < 25:
            answers[ask(url, headers)] += 1

    started = time.monotonic()
    clients = [threading.Thread(target=send) for _ in range(3)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    seconds = time.monotonic() - started
    assert set(answers) == {200, 429}
    # A worker may keep tokens that it took in advance for a second.
    assert answers[200] <= 10 + 5 * (seconds + 1)


@pytest.mark.slow
def test_keys_are_rotated_and_revoked_under_load_and_no_request_of_a_valid_key_is_lost(
    serve: "Serve", tmp_path: Path
) -> None:
    path = tmp_path / "keys"
    valid = header(create_key(path, NewKey(READ_WRITE)))
    url = serve(workers=2, keys_file=path)
    answers: Counter[int] = Counter()
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            answers[ask(url, valid)] += 1

    def wait_until(status: int, headers: Mapping[str, str]) -> None:
        """Waits until ten requests in a row, which reach both workers, have this status."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while {ask(url, headers) for _ in range(10)} != {status}:
            assert time.monotonic() < deadline

    load = threading.Thread(target=send)
    load.start()
    try:
        for _ in range(3):
            key = create_key(path, NewKey(READ_WRITE))
            wait_until(200, header(key))
            revoke_key(path, key.partition(".")[0])
            wait_until(401, header(key))
    finally:
        stop.set()
        load.join()
    assert set(answers) == {200}
    assert answers[200] > 10
