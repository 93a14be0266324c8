"""The log's disk is full: recommendations go on, and one line tells it later."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from proofs.fixtures.processes.waiting import free_port
from tests.service.conftest import PATIENCE_SECONDS

LIMIT_BLOCKS = 8  # of 512 or 1,024 bytes
REQUESTS = 300


@contextmanager
def limited(bundle_path: Path, log: Path) -> Iterator[httpx.Client]:
    """Runs the service, whose log file cannot grow beyond a few kilobytes."""
    port = free_port()
    settings = {
        "BUNDLE_PATH": str(bundle_path),
        "PORT": str(port),
        "LOG_REQUESTS": "true",
        "LOG_FORMAT": "json",
        "PYTHONDONTWRITEBYTECODE": "1",  # the limit would cut these files too
    }
    command = f'ulimit -f {LIMIT_BLOCKS}; exec "{sys.executable}" -m service 2>>"{log}"'
    process = subprocess.Popen(["sh", "-c", command], env=os.environ | settings)
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_SECONDS)
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                if client.get("/readyz").is_success:
                    break
            time.sleep(0.05)
        yield client
    finally:
        client.close()
        process.terminate()
        assert process.wait(timeout=PATIENCE_SECONDS) == 0


def test_a_full_disk_of_the_log_is_told_once_and_recommendations_go_on(
    bundle_path: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with limited(bundle_path, log) as client:
        assert "recommender_logs_failing 0.0" in client.get("/metrics").text
        for _ in range(REQUESTS):
            assert client.post("/v1/recommendations", json={"history": ["c"]}).is_success
        assert log.stat().st_size <= LIMIT_BLOCKS * 1024
        assert "recommender_logs_failing 1.0" in client.get("/metrics").text
        os.truncate(log, 0)
        assert client.get("/healthz").is_success
        assert "recommender_logs_failing 0.0" in client.get("/metrics").text
    messages = [json.loads(line)["message"] for line in log.read_text().splitlines()]
    told = [each for each in messages if "log lines could not be written: " in each]
    assert told == messages[:1]
    assert int(told[0].split()[0]) > REQUESTS / 2
    assert "File too large" in told[0]
