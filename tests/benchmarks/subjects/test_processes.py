import sys

import pytest
from redis import ConnectionError as RedisConnectionError
from redis import Redis

from benchmarks.errors import BenchmarkError
from benchmarks.subjects.processes import (
    free_port,
    redis_url,
    running,
    running_redis,
)

SERVE = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1"]


def test_cpu_time_and_memory_of_a_running_program_are_read() -> None:
    with running([*SERVE, str(port := free_port())], port, "/") as server:
        assert server.seconds_to_ready > 0
        assert server.cpu_seconds() > 0
        assert server.resident_mib() > 1


def test_the_error_of_a_program_that_ends_has_its_last_lines() -> None:
    dying = [sys.executable, "-c", "import sys; sys.exit('the bundle is missing')"]
    with (
        pytest.raises(BenchmarkError, match="the bundle is missing"),
        running(dying, free_port(), "/"),
    ):
        pass


def test_a_real_redis_runs_until_the_block_ends() -> None:
    with running_redis() as redis:
        client = Redis.from_url(redis_url(redis))
        assert client.ping()
    with pytest.raises(RedisConnectionError), client:
        client.ping()
