"""The shared connection, against a real Redis and a server with scripted replies."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from typing import TYPE_CHECKING

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as LateError

from service.stores.redis_client import connect_shared
from service.stores.redis_connection import SharedConnection
from tests.service.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.conftest import RedisServer

pytestmark = pytest.mark.anyio

Serve = Callable[[bytes], bytes | None]


@pytest.fixture
async def shared(mortal_redis: "RedisServer") -> AsyncIterator[SharedConnection]:
    shared = connect_shared(mortal_redis.url, timeout_seconds=PATIENCE_SECONDS)
    yield shared
    await shared.aclose()


@asynccontextmanager
async def connected_to(answer: Serve, timeout_seconds: float) -> AsyncIterator[SharedConnection]:
    """Connects to a server that greets like Redis and gives commands the replies of `answer`."""
    serving: list[asyncio.Task[object] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        with suppress(ConnectionError), closing(writer):
            while command := await reader.read(1 << 16):
                greetings = command.count(b"SETINFO")
                reply = b"+OK\r\n" * greetings if greetings else answer(command)
                writer.write(reply or b"")

    server = await asyncio.start_server(serve, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    shared = connect_shared(f"redis://127.0.0.1:{port}", timeout_seconds=timeout_seconds)
    async with server:
        yield shared
        await shared.aclose()
        await asyncio.gather(*filter(None, serving))


def answer_pings_only(command: bytes) -> bytes | None:
    return b"+PONG\r\n" if b"PING" in command else None


async def test_each_command_gets_its_own_reply(shared: SharedConnection) -> None:
    commands = [shared.execute_command("ECHO", f"{number} ä\n") for number in range(500)]
    assert await asyncio.gather(*commands) == [f"{number} ä\n" for number in range(500)]


async def test_commands_are_sent_in_the_order_of_their_calls_whichever_reply_is_awaited_first(
    shared: SharedConnection,
) -> None:
    await shared.execute_command("PING")
    replies = [shared.execute_command("APPEND", "key", each) for each in "abc"]
    assert [await each for each in reversed(replies)] == [3, 2, 1]
    assert await shared.execute_command("GET", "key") == "abc"


async def test_all_requests_share_one_connection(
    shared: SharedConnection, mortal_redis: "RedisServer"
) -> None:
    await asyncio.gather(*(shared.execute_command("PING") for _ in range(50)))
    with Redis.from_url(mortal_redis.url) as client:
        assert client.info("clients")["connected_clients"] == 2  # this client, and the shared one


async def test_a_refused_command_fails_and_the_others_do_not(shared: SharedConnection) -> None:
    commands = [shared.execute_command(*parts) for parts in (("NONSENSE",), ("ECHO", "a"))]
    refused, answer = await asyncio.gather(*commands, return_exceptions=True)
    assert isinstance(refused, ResponseError)
    assert answer == "a"


async def test_a_cancelled_command_does_not_shift_the_replies_of_the_others(
    shared: SharedConnection,
) -> None:
    await shared.execute_command("PING")
    leaving = asyncio.ensure_future(shared.execute_command("ECHO", "unheard"))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await shared.execute_command("ECHO", "heard") == "heard"


async def test_after_a_timeout_all_waiting_commands_fail_and_the_next_one_reconnects() -> None:
    # Short enough for a test, long enough for a PING on a busy machine.
    async with connected_to(answer_pings_only, timeout_seconds=1) as shared:
        commands = [shared.execute_command("ECHO", each) for each in "ab"]
        late = await asyncio.gather(*commands, return_exceptions=True)
        assert [type(each) for each in late] == [LateError, LateError]
        assert await shared.execute_command("PING") == "PONG"


async def test_a_reply_that_arrived_while_the_loop_was_busy_is_not_late(
    mortal_redis: "RedisServer",
) -> None:
    patient = connect_shared(mortal_redis.url, timeout_seconds=1)
    await patient.execute_command("PING")
    command = asyncio.ensure_future(patient.execute_command("PING"))
    for _ in range(2):  # the command is queued, then sent
        await asyncio.sleep(0)
    time.sleep(1.5)
    assert await command == "PONG"
    await patient.aclose()


async def test_an_invalid_reply_closes_the_connection() -> None:
    async with connected_to(lambda _: b"?!\r\n", timeout_seconds=PATIENCE_SECONDS) as shared:
        with pytest.raises(LostError, match="not a reply of Redis"):
            await shared.execute_command("PING")


async def test_a_redis_that_cannot_be_reached_fails_all_commands_at_once() -> None:
    shared = connect_shared("redis://127.0.0.1:1", timeout_seconds=PATIENCE_SECONDS)
    commands = [shared.execute_command("PING") for _ in range(3)]
    failures = await asyncio.gather(*commands, return_exceptions=True)
    assert all(isinstance(each, LostError) for each in failures)


async def test_a_command_sent_on_a_connection_that_was_just_lost_fails(
    shared: SharedConnection,
) -> None:
    """Redis may close the connection before the task that waited for it runs again."""
    pipeline = await shared._connect()
    pipeline.close(LostError("gone"))
    with pytest.raises(LostError, match="Redis closed the connection"):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await pipeline.send(b"PING\r\n")
    assert await shared.execute_command("ECHO", "a") == "a"


@pytest.mark.parametrize(
    "code", ["READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOREPLICAS", "UNKILLABLE"]
)
async def test_a_node_that_refuses_is_left_for_the_one_to_which_the_address_leads(
    code: str,
) -> None:
    def refuse(command: bytes) -> bytes | None:
        return answer_pings_only(command) or f"-{code} refused\r\n".encode()

    async with connected_to(refuse, timeout_seconds=PATIENCE_SECONDS) as shared:
        first = await shared._connect()
        with pytest.raises(RedisError, match="refused"):
            await shared.execute_command("ECHO", "a")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while shared._pipeline is first:
                await asyncio.sleep(0.01)
        assert await shared.execute_command("PING") == "PONG"


async def test_an_error_that_concerns_one_command_leaves_the_connection() -> None:
    def refuse(command: bytes) -> bytes | None:
        return answer_pings_only(command) or b"-WRONGTYPE refused\r\n"

    async with connected_to(refuse, timeout_seconds=PATIENCE_SECONDS) as shared:
        first = await shared._connect()
        with pytest.raises(ResponseError):
            await shared.execute_command("ECHO", "a")
        assert shared._connecting is None
        assert shared._pipeline is first
