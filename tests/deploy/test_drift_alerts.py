"""Simulated drift raises its alert: from a log, through program and service, to Prometheus."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from distilled_recommender.app import main
from service.settings import Settings
from tests.training.event_log import event, impression, write
from training.events.log_folder import LogFolder

if TYPE_CHECKING:
    from tests.service.conftest import Connect

ALERTS = Path(__file__).parents[2] / "docker/prometheus/alerts.yml"
# Items of the ring bundle as often as in training: h 7 times, g 6 times, …, b once, a never.
AS_TRAINED = "".join(letter * times for times, letter in enumerate("abcdefgh"))
FIRING = 'count by (alertname) (ALERTS{alertstate="firing"})'
Rows = Iterable[dict[str, Any]]

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool (Debian: prometheus)"),
]


def visits(items: Iterable[str], num_sessions: int = 40, name: str = "s") -> Rows:
    """Events of sessions that each take all of `items`, in the last hour."""
    begin = int(time.time() * 1000) - 3_600_000
    for session in range(num_sessions):
        for place, item_id in enumerate(items):
            yield event(f"{name}{session}", item_id, begin + 1_000 * session + place)


def lists(variant: str, number: int) -> Rows:
    """Lists of the items a and b that a variant has shown."""
    begin = int(time.time() * 1000) - 3_600_000
    for each in range(number):
        yield impression(f"{variant}{each}", None, begin + each) | {"variant": variant}


async def fired(
    folder: Path, bundle: Path, connect: "Connect", events: Rows, shown: Rows = ()
) -> list[str]:
    """Counts a log, serves the figures, and returns the alerts that fire on the metrics."""
    log = LogFolder(str(folder / "log"))
    write(log, "event", [*events])
    write(log, "impression", [*shown])
    path = folder / "experiments.json"
    assert main(["experiments", log.address, "--output", str(path), "--bundle", str(bundle)]) == 0
    async with connect(Settings(bundle_path=bundle, experiments_path=path)) as client:
        metrics = (await client.get("/metrics")).text
    return alerts_on(metrics, folder)


def labels_of(sample: Sample) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in sample.labels.items()) + "}"


def alerts_on(metrics: str, folder: Path) -> list[str]:
    """Returns the names of the alerts that fire if the live gauges keep their values."""
    samples = [
        sample
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name.startswith("recommender_live_")
    ]
    assert len(samples) >= 5
    series = [
        {"series": f"{each.name}{labels_of(each)}", "values": f"{each.value:f}x80"}
        for each in samples
    ]
    test = {
        "interval": "15s",
        "input_series": series,
        "promql_expr_test": [{"expr": FIRING, "eval_time": "15m", "exp_samples": []}],
    }
    rules = {"rule_files": [str(ALERTS)], "evaluation_interval": "15s", "tests": [test]}
    path = folder / "no_alert.yml"
    path.write_text(yaml.safe_dump(rules))
    done = subprocess.run(["promtool", "test", "rules", path], capture_output=True, text=True)
    _, _, got = (done.stdout + done.stderr).partition("got:")
    found = re.findall(r'alertname="(\w+)"', got)
    assert (done.returncode == 0) == (found == []), done.stdout + done.stderr
    return found


async def test_visitors_as_in_training_raise_no_alert(
    tmp_path: Path, bundle_path: Path, connect: "Connect"
) -> None:
    both = [*lists("default", 200), *lists("b", 200)]
    assert await fired(tmp_path, bundle_path, connect, visits(AS_TRAINED), both) == []


@pytest.mark.parametrize("items", [AS_TRAINED + "xxxx", "abcde" * 6], ids=["unknown", "unpopular"])
async def test_a_shifted_catalog_is_told(
    tmp_path: Path, bundle_path: Path, connect: "Connect", items: str
) -> None:
    assert await fired(tmp_path, bundle_path, connect, visits(items)) == ["CatalogDrifts"]


async def test_a_bot_is_told(tmp_path: Path, bundle_path: Path, connect: "Connect") -> None:
    events = [*visits(AS_TRAINED), *visits(AS_TRAINED * 8, num_sessions=1, name="bot")]

    assert await fired(tmp_path, bundle_path, connect, events) == ["OneSessionDominates"]


async def test_a_broken_variant_is_told(
    tmp_path: Path, bundle_path: Path, connect: "Connect"
) -> None:
    now = int(time.time() * 1000)
    clicks = [
        event(f"v{each}", "a", now - each, recommendation_id=f"default{each}")
        for each in range(100)
    ]
    both = [*lists("default", 1_000), *lists("broken", 1_000)]

    assert await fired(tmp_path, bundle_path, connect, clicks, both) == ["VariantBehind"]
