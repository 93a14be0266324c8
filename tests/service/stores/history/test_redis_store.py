from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import anyio
import pytest
from redis import Redis

from service.errors import HistoryUnavailableError
from service.stores.history.protocol import Event, Retention, Session
from service.stores.history.redis_store import RedisHistoryStore
from service.stores.redis_client import connect_shared
from service.stores.redis_connection import SharedConnection
from tests.service.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.conftest import RedisServer

pytestmark = pytest.mark.anyio


def client_of(url: str) -> SharedConnection:
    return connect_shared(url, timeout_seconds=PATIENCE_SECONDS)


@pytest.fixture
async def store(mortal_redis: "RedisServer") -> AsyncIterator[RedisHistoryStore]:
    store = RedisHistoryStore(client_of(mortal_redis.url), Retention(10, 60, 60))
    yield store
    await store.close()


async def test_an_append_is_one_command(
    store: RedisHistoryStore, mortal_redis: "RedisServer"
) -> None:
    await store.append(Session("s"), Event("a"))
    with Redis.from_url(mortal_redis.url) as client, client.monitor() as monitor:
        await store.append(Session("s"), Event("b", event_id="e1"))
        await store.ping()
        sent: list[str] = []
        while "PING" not in sent:
            seen = monitor.next_command()
            sent += [seen["command"].split()[0]] if seen["client_type"] != "lua" else []
    assert sent == ["EVALSHA", "PING"]


async def test_a_session_is_two_keys_that_expire_together(
    store: RedisHistoryStore, mortal_redis: "RedisServer"
) -> None:
    """CRC-16/XMODEM of `123456789` is 0x31c3 by definition: 12,739, which is 3 modulo 64."""
    await store.append(Session("123456789"), Event("a", event_id="e1"))
    with Redis.from_url(mortal_redis.url, decode_responses=True) as client:
        assert set(client.scan_iter()) == {"s:{03}:123456789", "e:{03}:123456789"}
        for key in client.scan_iter():
            assert 59_000 < client.pttl(key) <= 60_000


async def test_a_redis_that_died_is_unavailable(
    store: RedisHistoryStore, mortal_redis: "RedisServer"
) -> None:
    await store.append(Session("s"), Event("a"))
    mortal_redis.kill()
    with pytest.raises(HistoryUnavailableError, match="the history store does not answer"):
        await store.append(Session("s"), Event("b"))


async def test_a_redis_that_was_restarted_is_used_again(
    store: RedisHistoryStore, mortal_redis: "RedisServer"
) -> None:
    """The new Redis has neither the connection nor the script."""
    await store.append(Session("s"), Event("a"))
    mortal_redis.kill()
    mortal_redis.start()
    await anyio.sleep(0.01)  # lets the event loop notice the closed connection
    assert await store.append(Session("s"), Event("b")) == ["b"]


async def test_a_redis_behind_tls_is_used_and_its_certificate_is_checked(
    tls_redis: "RedisServer",
) -> None:
    trusting = RedisHistoryStore(client_of(tls_redis.url), Retention(10, 60, 60))
    assert await trusting.append(Session("s"), Event("a", event_id="e1")) == ["a"]
    await trusting.close()
    wary = RedisHistoryStore(client_of(tls_redis.url.partition("?")[0]), Retention(10, 60, 60))
    with pytest.raises(HistoryUnavailableError) as raised:
        await wary.read(Session("s"))
    assert "CERTIFICATE_VERIFY_FAILED" in str(raised.value.__cause__)
    # Sent to clients, so it must not name hosts.
    assert str(raised.value) == "the history store does not answer (ConnectionError)"
    await wary.close()
