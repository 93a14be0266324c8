"""The script `docker/learn`, which the profile and the CronJob run, on a Redis with events."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from distilled_recommender.retrain.runs import RunTable
from export.contract.log.events import STREAM_FIELD, STREAMS, Event, text_of_entry
from export.contract.log.live_figures import load_report
from tests.conftest import RedisServer
from training.events.log_folder import LogFolder
from training.events.reading import read_events

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_events_are_collected_and_a_retraining_is_decided_with_the_items_of_the_bundle(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    now = int(time.time() * 1000) - 1_000
    event = Event(1, "e", "default", "v1.ann", "click", "260", now, now)
    with redis.Redis.from_url(redis_server.url) as client:
        client.xadd(STREAMS[0], {STREAM_FIELD: text_of_entry([event])})
    settings = (ROOT / "configs/learn.toml").read_text(encoding="utf-8")
    bundle = ROOT / "assets/movielens/bundle/items.jsonl"
    settings = settings.replace("/bundles/active/items.jsonl", str(bundle))
    config = tmp_path / "learn.toml"
    config.write_text(settings.replace("/work/log", str(tmp_path / "log")), encoding="utf-8")
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {
        "PATH": programs,
        "PYTHONPATH": str(ROOT),
        "REDIS_URL": redis_server.url,
        "CONFIG": str(config),
        "COLLECT_LOG": str(tmp_path / "log"),
        "WORK": str(tmp_path / "work"),
        "BUNDLES": str(tmp_path / "bundles"),
    }

    subprocess.run(["sh", ROOT / "docker/learn", "--once"], env=environment, check=True)

    assert read_events(LogFolder(str(tmp_path / "log")))["event_id"].to_pylist() == ["e"]
    report = load_report(tmp_path / "bundles/experiments.json")
    assert (report.figures, report.drift) == ([], None)  # no list was shown, no bundle is active
    (run,) = RunTable(tmp_path / "work/learn/retrain").read()
    assert run.decision == "undecided"
    assert run.reason.startswith("1 events in the newest slice are too few to say")
