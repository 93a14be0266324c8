"""The store of histories while its Redis fails over, refuses, or is behind a bad network."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    nullcontext,
    suppress,
)
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from redis import Redis
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as LateError

from proofs.fixtures.processes.fault_proxy import FaultProxy
from proofs.fixtures.processes.waiting import free_port
from service.errors import HistoryUnavailableError
from service.stores import redis_connection
from service.stores.history.protocol import Event, Retention, Session
from service.stores.history.redis_keys import keys_of
from service.stores.history.redis_store import RedisHistoryStore
from service.stores.redis_client import connect_shared
from tests.conftest import TIMEOUT_SECONDS, RedisServer
from tests.service.waiting import until

if TYPE_CHECKING:
    from service.stores.redis_connection import SharedConnection

pytestmark = pytest.mark.anyio


def redis_on_a_port(folder: Path) -> RedisServer:
    folder.mkdir(exist_ok=True)
    port = free_port()
    return RedisServer(folder, "--port", str(port), url=f"redis://127.0.0.1:{port}")


def port_of(server: RedisServer) -> int:
    return int(server.url.rpartition(":")[2])


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[RedisServer]:
    server = redis_on_a_port(tmp_path / "primary")
    yield server
    server.kill()


@pytest.fixture
def replica(tmp_path: Path) -> Iterator[RedisServer]:
    """A second Redis, which a failover makes the primary."""
    server = redis_on_a_port(tmp_path / "replica")
    yield server
    server.kill()


@pytest.fixture
def proxy(primary: RedisServer) -> Iterator[FaultProxy]:
    """The address of the primary, as a load balancer or a DNS name would be."""
    with FaultProxy(port_of(primary)) as proxy:
        yield proxy


@asynccontextmanager
async def store_behind(
    proxy: FaultProxy, timeout: float = TIMEOUT_SECONDS
) -> AsyncIterator[RedisHistoryStore]:
    store = RedisHistoryStore(connection_to(proxy, timeout), Retention(10, 60, 60))
    yield store
    await store.close()


def connection_to(proxy: FaultProxy, timeout: float) -> "SharedConnection":
    return connect_shared(f"redis://127.0.0.1:{proxy.port}", timeout_seconds=timeout)


def fail_over(primary: RedisServer, replica: RedisServer, proxy: FaultProxy) -> None:
    """Makes the replica the primary; open connections to the old primary stay open."""
    with Redis.from_url(primary.url) as client:
        client.replicaof("127.0.0.1", port_of(replica))
    proxy.target = port_of(replica)


async def test_a_refused_event_is_stored_when_it_is_sent_again_after_a_failover(
    primary: RedisServer, replica: RedisServer, proxy: FaultProxy
) -> None:
    async with store_behind(proxy) as store:
        await store.append(Session("s"), Event("a", "e1"))
        fail_over(primary, replica, proxy)
        with pytest.raises(HistoryUnavailableError):
            await store.append(Session("s"), Event("b", "e2"))
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while True:
                with suppress(HistoryUnavailableError):
                    await store.append(Session("s"), Event("b", "e2"))
                    break
                await asyncio.sleep(0.02)
    with Redis.from_url(replica.url, decode_responses=True) as client:
        assert client.lrange(keys_of("s").events, 0, -1)[-1] == "e2\nb"


async def test_replies_on_the_way_are_not_lost_when_the_connection_is_replaced(
    primary: RedisServer, replica: RedisServer, proxy: FaultProxy
) -> None:
    async with store_behind(proxy) as store:
        await store.append(Session("s"), Event("a"))
        fail_over(primary, replica, proxy)
        # One write, so that the refusal and the reply of the read arrive together.
        refused, history = await asyncio.gather(
            store.append(Session("s"), Event("b")), store.read(Session("s")), return_exceptions=True
        )
        assert isinstance(refused, HistoryUnavailableError)
        assert history == ["a"]


async def test_a_node_that_refuses_for_long_is_not_connected_to_for_each_command(
    primary: RedisServer, replica: RedisServer, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_connection, "_SECONDS_BETWEEN_REPLACEMENTS", TIMEOUT_SECONDS)
    async with store_behind(proxy) as store:
        await store.append(Session("s"), Event("a"))
        fail_over(primary, replica, proxy)
        proxy.target = port_of(primary)  # the address still leads to the demoted one
        with Redis.from_url(primary.url) as client:
            before = client.info("stats")["total_connections_received"]
            for _ in range(50):
                with suppress(HistoryUnavailableError):
                    await store.append(Session("s"), Event("b"))
                await asyncio.sleep(0.01)
            received = client.info("stats")["total_connections_received"] - before
    assert received == 1


async def test_a_reconnect_and_its_command_have_one_deadline(proxy: FaultProxy) -> None:
    """The handshake alone is in time and so is the command, but not both."""
    proxy.delay_seconds = 0.75
    connection = connection_to(proxy, timeout=1)
    with pytest.raises(LateError):
        await connection.execute_command("PING")
    await connection.aclose()


async def test_a_connection_that_takes_longer_than_a_command_may_is_completed(
    proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command is in time, and only the handshake is not: Redis is not lost for good."""
    monkeypatch.setattr(redis_connection, "_DEADLINES_TO_CONNECT", TIMEOUT_SECONDS)
    connection = connection_to(proxy, timeout=1)
    proxy.delay_seconds = 0.6
    with pytest.raises(LateError):
        await connection.execute_command("PING")
    await until(lambda: connection._pipeline is not None)
    await connection.aclose()


async def test_the_commands_of_one_read_have_one_deadline(proxy: FaultProxy) -> None:
    """The list under the current name is empty, so those under former names are read, too."""
    for wait_seconds, is_in_time in ((TIMEOUT_SECONDS, True), (0.6, False)):
        connection = connection_to(proxy, timeout=TIMEOUT_SECONDS)
        store = RedisHistoryStore(connection, Retention(10, 60, 60), wait_seconds=wait_seconds)
        await store.read(Session("v1.ann"))  # connects
        proxy.delay_seconds = 0.4
        with nullcontext() if is_in_time else pytest.raises(HistoryUnavailableError):
            assert await store.read(Session("v1.ann", ("v0.ann",), "ann")) == []
        proxy.delay_seconds = 0
        await store.close()


async def test_an_address_that_drops_syns_costs_one_deadline_and_is_used_once_it_answers(
    proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadlines, deadline = list[float](), redis_connection.deadline

    def noted(seconds: float) -> AbstractAsyncContextManager[None]:
        deadlines.append(seconds)
        return deadline(seconds)

    monkeypatch.setattr(redis_connection, "deadline", noted)
    monkeypatch.setattr(redis_connection, "_DEADLINES_TO_CONNECT", TIMEOUT_SECONDS)
    connection = connection_to(proxy, timeout=0.5)
    await answered(connection)
    proxy.drop_new_connections()
    await until(lambda: connection._pipeline is not None and connection._pipeline.is_closed)
    deadlines.clear()
    with pytest.raises(LateError):
        await connection.execute_command("PING")
    assert sorted(deadlines) == [0.5, 0.5 * TIMEOUT_SECONDS]  # its own, and that of the connection
    proxy.accept_new_connections()
    await answered(connection)
    await connection.aclose()


async def answered(connection: "SharedConnection") -> None:
    """Sends commands until one is answered."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while True:
            with suppress(RedisError):
                assert await connection.execute_command("PING") == "PONG"
                return
