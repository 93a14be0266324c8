import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest
from redis.exceptions import ConnectionError as LostError

from service.access.bucket import Bucket, Grant, take_shared
from service.access.principal import Limits, Principal
from service.access.rate_limits import RateLimits
from service.errors import TooManyRequestsError
from service.settings import Settings
from service.stores.redis_client import connect_cluster, connect_shared

if TYPE_CHECKING:
    from service.stores.redis_connection import SharedConnection
    from tests.conftest import RedisCluster, RedisServer

NOON = 1_899_979_200.0  # 2030-03-17T12:00:00Z
pytestmark = pytest.mark.anyio


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def redis(redis_server: "RedisServer") -> "AsyncIterator[SharedConnection]":
    connection = connect_shared(redis_server.url, timeout_seconds=60)
    yield connection
    await connection.aclose()


def principal(limits: Limits | None, key_id: str = "k1") -> Principal:
    return Principal(key_id, "default", frozenset(), limits)


async def passed(limits: RateLimits, who: Principal, number: int) -> int:
    """Sends `number` requests at once; returns how many are not refused."""

    async def request() -> bool:
        try:
            await limits.take(who)
        except TooManyRequestsError:
            return False
        return True

    return sum(await asyncio.gather(*(request() for _ in range(number))))


async def test_a_burst_passes_and_then_as_many_as_the_rate_allows(clock: Clock) -> None:
    limits, who = RateLimits(clock, clock), principal(Limits(2.0, 5))
    assert await passed(limits, who, 20) == 5
    clock.now += 1.5
    assert await passed(limits, who, 20) == 3
    clock.now += 3600
    assert await passed(limits, who, 20) == 5


async def test_without_a_burst_the_requests_of_a_second_may_come_at_once(clock: Clock) -> None:
    assert await passed(RateLimits(clock, clock), principal(Limits(7.5)), 20) == 7
    assert await passed(RateLimits(clock, clock), principal(Limits(0.1)), 20) == 1


async def test_a_refusal_says_in_whole_seconds_when_to_send_again(clock: Clock) -> None:
    limits, who = RateLimits(clock, clock), principal(Limits(0.4, 1))
    await limits.take(who)
    for later, seconds in ((0, 3), (1, 2), (2, 1)):
        clock.now = NOON + later
        with pytest.raises(TooManyRequestsError, match=f"send again in {seconds} s") as refused:
            await limits.take(who)
        assert refused.value.retry_after_seconds == seconds
    clock.now = NOON + 2.5
    await limits.take(who)


async def test_a_quota_ends_at_midnight_in_utc(clock: Clock) -> None:
    limits, who = RateLimits(clock, clock), principal(Limits(None, None, 3))
    assert await passed(limits, who, 10) == 3
    with pytest.raises(TooManyRequestsError) as refused:
        await limits.take(who)
    assert refused.value.retry_after_seconds == 12 * 3600
    clock.now = NOON + 12 * 3600 + 1
    assert await passed(limits, who, 10) == 3


async def test_keys_have_limits_of_their_own_and_no_limit_is_none(clock: Clock) -> None:
    limits = RateLimits(clock, clock)
    assert await passed(limits, principal(Limits(1.0)), 10) == 1
    assert await passed(limits, principal(Limits(1.0), "k2"), 10) == 1
    assert await passed(limits, principal(None, "k3"), 1000) == 1000


async def test_a_limit_that_is_raised_counts_at_once_and_a_copy_of_it_changes_nothing(
    clock: Clock,
) -> None:
    limits = RateLimits(clock, clock)
    assert await passed(limits, principal(Limits(None, None, 3)), 10) == 3
    assert await passed(limits, principal(Limits(None, None, 3)), 10) == 0
    assert await passed(limits, principal(Limits(None, None, 5)), 10) == 5


async def test_two_workers_on_one_redis_keep_a_quota_together(
    redis: "SharedConnection",
) -> None:
    workers, who = [RateLimits(), RateLimits()], principal(Limits(None, None, 100))
    for each in workers:
        each.share(redis.execute_command)
    numbers = [await passed(each, who, 70) for each in workers]
    assert numbers == [70, 30]


async def test_two_workers_on_one_redis_keep_a_rate_together(
    redis: "SharedConnection",
) -> None:
    """A burst of 50 at a rate so slow that no token comes while the test runs."""
    workers, who = [RateLimits(), RateLimits()], principal(Limits(0.001, 50))
    for each in workers:
        each.share(redis.execute_command)
    numbers = await asyncio.gather(*(passed(each, who, 80) for each in workers))
    assert sum(numbers) == 50


def counted(
    redis: "SharedConnection",
) -> tuple[list[tuple[str | int, ...]], Callable[..., Awaitable[Any]]]:
    """Returns a list, and a function that sends a command and adds it to the list."""
    calls: list[tuple[str | int, ...]] = []

    async def execute(*parts: str | int) -> Any:
        calls.append(parts)
        return await redis.execute_command(*parts)

    return calls, execute


async def test_a_worker_takes_the_tokens_of_a_tenth_of_a_second_in_one_round_trip(
    redis: "SharedConnection", clock: Clock
) -> None:
    calls, execute = counted(redis)
    limits, who = RateLimits(clock, clock), principal(Limits(1000.0, 1000))
    limits.share(execute)
    await redis.execute_command("SCRIPT", "FLUSH")
    assert await passed(limits, who, 100) == 100
    assert [parts[0] for parts in calls] == ["EVALSHA", "EVAL"]
    assert await passed(limits, who, 1) == 1
    assert len(calls) == 3


async def test_a_refused_key_does_not_ask_redis_again_until_a_token_comes(
    redis: "SharedConnection", clock: Clock
) -> None:
    calls, execute = counted(redis)
    limits, who = RateLimits(clock, clock), principal(Limits(0.001, 1))
    limits.share(execute)
    assert await passed(limits, who, 1) == 1
    asked = len(calls)
    assert await passed(limits, who, 1000) == 0
    assert len(calls) == asked + 1


async def test_tokens_that_a_worker_does_not_use_go_back(redis: "SharedConnection") -> None:
    clock = Clock()
    limits, who = RateLimits(clock, clock), principal(Limits(None, None, 50_000))
    limits.share(redis.execute_command)
    for _ in range(20):
        await limits.take(who)
        clock.now += 2
    used = int(await redis.execute_command("HGET", "limit:k1", "used"))
    assert used == 19 + 50  # the last lease is still there


async def test_a_full_redis_evicts_sessions_before_what_a_key_has_used(
    redis: "SharedConnection",
) -> None:
    """It evicts what expires first; both times are counted in ms."""
    await take_shared(redis.execute_command, "k1", Limits(1.0, 1, 10), want=1, unused=0)
    in_a_year = 365 * 24 * 3_600_000
    assert int(await redis.execute_command("PTTL", "limit:k1")) > in_a_year
    assert in_a_year > 10 * 1_000 * Settings().session_ttl_seconds


async def test_what_a_key_used_on_former_days_does_not_count(redis: "SharedConnection") -> None:
    state = ("tokens", "0", "at", "0", "day", 1, "used", 3)  # of 1970-01-02
    await redis.execute_command("HSET", "limit:k1", *state)
    grant = await take_shared(redis.execute_command, "k1", Limits(None, None, 3), 5, unused=0)
    assert grant == Grant(3)


async def test_workers_share_a_limit_on_a_redis_cluster_too(
    redis_cluster: "RedisCluster",
) -> None:
    client = connect_cluster(redis_cluster.url, timeout_seconds=60)
    try:
        for key_id in ("k1", "k2", "k3"):  # on different nodes, each without the script at first
            workers = [RateLimits(), RateLimits()]
            for each in workers:
                each.share(client.execute_command)
            who = principal(Limits(None, None, 10), key_id)
            assert [await passed(each, who, 7) for each in workers] == [7, 3]
    finally:
        await client.aclose()


@pytest.mark.parametrize("seed", range(5))
async def test_the_bucket_in_redis_grants_what_the_one_in_memory_grants(
    redis: "SharedConnection", seed: int
) -> None:
    generator = random.Random(seed)  # noqa: S311 - a load, not a secret
    rate = generator.choice([None, 0.000_01, 0.000_02])
    limits = Limits(rate, generator.choice([1, 7, 30]), generator.choice([None, 12, 40]))
    bucket = Bucket()
    for _ in range(30):
        want, unused = generator.randint(1, 5), generator.randint(0, 1)
        here = bucket.take(limits, want, unused, NOON)
        there = await take_shared(redis.execute_command, "k1", limits, want, unused)
        assert there.tokens == here.tokens
        assert (there.wait_seconds > 0) == (here.wait_seconds > 0)


async def test_a_lost_redis_lets_each_worker_hold_the_limits_alone_and_is_asked_once_a_second(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    calls = []

    async def lost(*parts: str | int) -> Any:
        calls.append(parts)
        raise LostError("refused")

    limits, who = RateLimits(clock, clock), principal(Limits(1.0, 5))
    limits.share(lost)
    assert await passed(limits, who, 20) == 5
    assert len(calls) == 1
    assert "each worker counts only its own requests for the limits of keys for 1 s" in caplog.text
    clock.now += 1.5
    assert await passed(limits, who, 20) == 1
    assert len(calls) == 2


async def test_a_client_that_leaves_does_not_end_the_question_of_the_others(
    clock: Clock,
) -> None:
    answered = asyncio.Event()

    async def slow(*_: str | int) -> Any:
        await answered.wait()
        return [10, "0"]

    limits, who = RateLimits(clock, clock), principal(Limits(100.0, 10))
    limits.share(slow)
    leaving, staying = (asyncio.ensure_future(limits.take(who)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    answered.set()
    await asyncio.wait_for(staying, 60)
    assert leaving.cancelled()


def test_a_clock_that_goes_back_takes_no_token_away() -> None:
    bucket, limits = Bucket(), Limits(1.0, 2)
    assert bucket.take(limits, 1, 0, NOON) == Grant(1)
    assert bucket.take(limits, 1, 0, NOON - 10) == Grant(1)
