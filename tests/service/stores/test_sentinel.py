"""A Redis behind Sentinel: real processes, and a real failover."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from redis import Redis
from redis.exceptions import RedisError

from proofs.fixtures.processes.waiting import free_port
from service.errors import HistoryUnavailableError
from service.stores.history.protocol import Event, Retention, Session
from service.stores.history.redis_store import RedisHistoryStore
from service.stores.redis_client import connect_redis, connect_shared
from tests.conftest import TIMEOUT_SECONDS, RedisServer

pytestmark = pytest.mark.anyio

SENTINEL_CONFIG = """
port {port}
dir {folder}
sentinel monitor shop 127.0.0.1 {primary} 1
sentinel down-after-milliseconds shop 300
sentinel failover-timeout shop 2000
sentinel auth-pass shop {password}
"""
PASSWORD = "-".join(["only", "here"])


@dataclass
class Watched:
    """A primary and a replica that a Sentinel watches; `url` names the Sentinel."""

    primary: RedisServer
    replica: RedisServer
    url: str


@pytest.fixture
def watched() -> Iterator[Watched]:
    with ExitStack() as parts:
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory()))
        ports = [free_port() for _ in range(3)]
        primary, replica = (protected(folder / str(port), port) for port in ports[:2])
        parts.callback(primary.kill)
        parts.callback(replica.kill)
        with Redis.from_url(replica.url) as client:
            client.replicaof("127.0.0.1", ports[0])
            wait_until(lambda: client.role()[3] == b"connected")
        sentinel = watching(folder, *ports[1:], primary=ports[0])
        parts.callback(sentinel.wait)
        parts.callback(sentinel.kill)
        with Redis(port=ports[2]) as client:
            wait_until(lambda: client.sentinel_slaves("shop"))
        # The first Sentinel does not answer.
        url = f"redis+sentinel://:{PASSWORD}@127.0.0.1:1,127.0.0.1:{ports[2]}/shop/0"
        yield Watched(primary, replica, url)


def protected(folder: Path, port: int) -> RedisServer:
    folder.mkdir()
    options = ("--requirepass", PASSWORD, "--masterauth", PASSWORD)
    url = f"redis://:{PASSWORD}@127.0.0.1:{port}"
    return RedisServer(folder, "--port", str(port), *options, url=url)


def watching(folder: Path, _: int, port: int, *, primary: int) -> "subprocess.Popen[bytes]":
    config = folder / "sentinel.conf"
    config.write_text(
        SENTINEL_CONFIG.format(port=port, folder=folder, primary=primary, password=PASSWORD)
    )
    return subprocess.Popen(["redis-server", str(config), "--sentinel"], stdout=subprocess.DEVNULL)


def wait_until(holds: object) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        with suppress(RedisError, IndexError):
            if holds():  # type: ignore[operator]
                return
        time.sleep(0.02)
    raise TimeoutError


async def test_events_are_stored_by_the_primary_also_after_a_failover(watched: Watched) -> None:
    store = RedisHistoryStore(connect_shared(watched.url, timeout_seconds=2), Retention(10, 60, 60))
    assert await store.append(Session("s"), Event("a", "e1")) == ["a"]
    watched.primary.kill()
    with anyio.fail_after(TIMEOUT_SECONDS):
        while True:
            with suppress(HistoryUnavailableError):
                assert await store.append(Session("s"), Event("b", "e2")) == ["a", "b"]
                break
            await anyio.sleep(0.05)
    await store.close()
    with Redis.from_url(watched.replica.url) as client:
        assert client.role()[0] == b"master"


async def test_added_items_find_the_primary_too(watched: Watched) -> None:
    client = connect_redis(watched.url, timeout_seconds=2, max_connections=2)
    assert await client.execute_command("SET", "key", "value")
    await client.aclose()
    with Redis.from_url(watched.primary.url) as primary:
        assert primary.get("key") == b"value"
