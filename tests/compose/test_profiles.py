"""Tests of the profiles `train`, `teacher` and `bench`."""

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.compose.load import load

ROOT = Path(__file__).parents[2]

if TYPE_CHECKING:
    from tests.compose.conftest import Stack


@pytest.fixture
def small_config(tmp_path: Path) -> Path:
    """A configuration of MovieLens with one short training."""
    text = (ROOT / "configs/movielens.toml").read_text(encoding="utf-8")
    text = re.sub(r"batch_size = .*", "batch_size = 512", text)
    text = re.sub(r"max_epochs = .*", "max_epochs = 1\nseeds = [0]", text)
    config = tmp_path / "small.toml"
    config.write_text(text, encoding="utf-8")
    config.chmod(0o644)
    return config


def test_a_newly_trained_student_takes_over_without_a_failed_request(
    stack: "Stack", client: httpx.Client, small_config: Path
) -> None:
    before = client.get("/v1/model").json()["model_version"]
    stack.build("train")
    options = ["--rm", "--volume", f"{small_config}:/app/configs/small.toml:ro"]
    options += ["--env", "CONFIG=configs/small.toml"]
    with load(stack.url, "train") as record:
        stack.compose("--profile", "train", "run", *options, "train")
        wait_for_another_version(client, before)
        time.sleep(1)
    after = client.get("/v1/model").json()["model_version"]
    assert record.is_flawless, record.failures[:5]
    assert set(record.versions) == {before, after}


def wait_for_another_version(client: httpx.Client, version: str) -> None:
    for _ in range(100):
        if client.get("/v1/model").json()["model_version"] != version:
            return
        time.sleep(0.1)
    raise TimeoutError(f"still {version}")


def test_the_llm_is_compared_with_the_student(stack: "Stack", client: httpx.Client) -> None:
    body = {"history": ["1", "1196"], "k": 5}
    assert client.post("/v1/compare", json=body).json()["teacher"] is None
    stack.up("teacher", profile="teacher")
    time.sleep(6)  # TEACHER_PAUSE_SECONDS
    answer = client.post("/v1/compare", json=body).json()
    assert len(answer["teacher"]["items"]) == len(answer["student"]["items"]) == 5
    assert 0 <= answer["overlap"] <= 1


def test_the_benchmark_reports_its_rate_and_no_failure(stack: "Stack") -> None:
    stack.environment |= {"BENCH_RATE": "20", "BENCH_SECONDS": "5"}
    report = json.loads(stack.compose("--profile", "bench", "run", "--rm", "--no-deps", "bench"))
    assert report["requests"] == 100
    assert report["failures"] == {}
    assert 0 < report["p50_ms"] <= report["p99_ms"]
