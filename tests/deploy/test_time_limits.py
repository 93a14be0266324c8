"""Containers have the time to start and to stop that the service's own settings may take."""

import re
from pathlib import Path

import yaml

from service.processes.server import FINISH_SECONDS
from service.settings import Settings
from service.start import _IMPORT_SECONDS
from tests.deploy.test_kubernetes import pods

ROOT = Path(__file__).parents[2]


def start_period(image: str) -> int:
    text = (ROOT / f"docker/{image}.Dockerfile").read_text(encoding="utf-8")
    (seconds,) = re.findall(r"--start-period=(\d+)s", text)
    return int(seconds)


def startup_seconds(pod: str) -> int:
    probe = pods()[pod]["containers"][0]["startupProbe"]
    seconds: int = probe["periodSeconds"] * probe["failureThreshold"]
    return seconds


def test_a_replica_may_take_as_long_to_start_as_its_settings_let_it() -> None:
    longest = _IMPORT_SECONDS + Settings().load_seconds
    assert start_period("service") >= longest
    assert startup_seconds("service") >= longest


def test_redis_has_the_same_time_to_load_its_file_in_both_stacks() -> None:
    assert start_period("redis") == startup_seconds("redis") == 600


def test_a_replica_is_killed_only_after_it_could_drain_and_end() -> None:
    image = (ROOT / "docker/service.Dockerfile").read_text(encoding="utf-8")
    (drain,) = re.findall(r"DRAIN_SECONDS=(\d+)", image)
    longest = int(drain) + 2 * FINISH_SECONDS
    stack = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    (roll,) = re.findall(
        r"docker stop --time (\d+)", (ROOT / "docker/roll").read_text(encoding="utf-8")
    )
    assert int(stack["services"]["service"]["stop_grace_period"].removesuffix("s")) > longest
    assert int(roll) > longest
    assert pods()["service"]["terminationGracePeriodSeconds"] > longest
