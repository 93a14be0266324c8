import sys
import time

import pytest
from redis import ConnectionError as RedisConnectionError
from redis import Redis

from benchmarks.load.cpu_time import cpu_us
from benchmarks.subjects.processes import (
    BenchmarkError,
    free_port,
    redis_url,
    running,
    running_redis,
)

SERVE = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1"]


def test_a_program_is_weighed_while_it_runs() -> None:
    with running([*SERVE, str(port := free_port())], port, "/") as server:
        assert server.seconds_to_ready > 0
        assert server.cpu_seconds() > 0
        assert server.resident_mib() > 1


def test_a_program_that_ends_tells_its_last_words() -> None:
    dying = [sys.executable, "-c", "import sys; sys.exit('the bundle is missing')"]
    with (
        pytest.raises(BenchmarkError, match="the bundle is missing"),
        running(dying, free_port(), "/"),
    ):
        pass


def test_redis_is_real_and_gone_afterwards() -> None:
    with running_redis() as redis:
        client = Redis.from_url(redis_url(redis))
        assert client.ping()
    with pytest.raises(RedisConnectionError), client:
        client.ping()


def test_waiting_is_not_counted_as_work() -> None:
    costs = cpu_us({"sleep": lambda: time.sleep(0.005), "nothing": lambda: None}, turns=1)
    assert costs["sleep"] < 5_000
    assert costs.keys() == {"sleep", "nothing"}
