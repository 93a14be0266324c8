import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest
from redis import ConnectionError as RedisConnectionError
from redis import Redis

from benchmarks.errors import BenchmarkError
from benchmarks.options import ROOT
from benchmarks.subjects.processes import (
    RunningProgram,
    free_port,
    redis_url,
    running,
    running_redis,
    running_service,
)
from tests.service.conftest import RING, ring_graph, save_ring_bundle

SERVE = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1"]
BUSY_FOR_A_FIFTH_OF_A_SECOND = "import time\nwhile time.process_time() < 0.2: pass"


def test_cpu_time_and_memory_of_a_running_program_are_read() -> None:
    with running([*SERVE, str(port := free_port())], port, "/") as server:
        assert server.seconds_to_ready > 0
        assert server.cpu_seconds() > 0
        assert server.resident_mib() > 1


def test_a_child_that_ends_while_it_is_read_counts_as_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with psutil.Popen([sys.executable, "-c", ""]) as ended:
        gone = psutil.Process(ended.pid)
    monkeypatch.setattr(psutil.Process, "children", lambda *_, **__: [gone])
    program = RunningProgram(0, 0.0, psutil.Process())
    assert program.resident_mib() > 1
    assert program.cpu_seconds() > 0
    assert program.proportional_mib() > 1
    assert program.children_proportional_mib() == 0


def test_the_cpu_time_of_a_child_that_has_ended_still_counts() -> None:
    program = RunningProgram(0, 0.0, psutil.Process())
    before = program.cpu_seconds()
    subprocess.run([sys.executable, "-c", BUSY_FOR_A_FIFTH_OF_A_SECOND], check=True)
    assert program.cpu_seconds() - before > 0.15  # it is counted in hundredths


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


def test_a_redis_that_does_not_start_is_an_error_with_its_last_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\necho no memory\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(BenchmarkError, match="last lines: no memory"),
        running_redis(),
    ):
        pass


def test_a_measured_program_gets_no_setting_of_the_service_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # LOG_REQUESTS costs time at every request; pydantic reads names in any case.
    for name in ("LOG_REQUESTS", "redis_url", "SECRETS_PATH", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "from the environment")
    shown = "import os, sys; sys.exit(str([*os.environ.values()]) + os.environ['MAX_K'])"
    with (
        pytest.raises(BenchmarkError, match=r"'7'.*7$") as raised,
        running([sys.executable, "-c", shown], free_port(), "/", {"MAX_K": "7"}),
    ):
        pass
    assert "from the environment" not in str(raised.value)


@pytest.mark.slow
def test_a_service_without_redis_keeps_added_items_out_of_the_checkout(tmp_path: Path) -> None:
    (tmp_path / "service").symlink_to(ROOT / "service")
    item = {"item_id": "posted", "title": "Posted", "embedding": [0, 0, 0, 2, 0, 0, 0, 0]}
    bundle = save_ring_bundle(tmp_path / "bundle", ring_graph(len(RING)))
    with running_service(bundle, root=tmp_path) as service:
        address = f"http://127.0.0.1:{service.port}/v1/items"
        httpx.post(address, json=item).raise_for_status()
    assert not list(tmp_path.glob("*items*"))


def test_a_folder_without_a_service_is_not_measured_in_the_place_of_a_checkout(
    tmp_path: Path,
) -> None:
    with (
        pytest.raises(BenchmarkError, match="no checkout of this project"),
        running_service(tmp_path, root=tmp_path),
    ):
        pass
