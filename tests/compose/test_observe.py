"""Tests of the profile `observe`: the dashboard, and its data in Prometheus."""

import json
import math
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from export.contract.log.live_figures import save_report
from handbook.reference.example_service import example_report
from tests.compose.load import load

if TYPE_CHECKING:
    from tests.compose.conftest import Stack

ROOT = Path(__file__).parents[2]
GRAFANA = "grafana/grafana:11.6.0"
TIMEOUT_SECONDS = 150
# Until Prometheus has two samples of each metric, which a rate needs.
WARM_UP_SECONDS = 30
OBSERVED_SECONDS = 30
STEP_SECONDS = 5


def panels() -> Iterator[dict[str, Any]]:
    """Yields all panels, also those of folded rows."""
    text = (ROOT / "docker/grafana/dashboards/recommender.json").read_text(encoding="utf-8")
    queue = json.loads(text)["panels"]
    while queue:
        panel = queue.pop()
        queue += panel.get("panels", [])
        if panel["type"] != "row":
            yield panel


def expressions() -> list[tuple[str, str]]:
    """Returns the title of the panel and the expression, for each query of the dashboard."""
    return [(panel["title"], target["expr"]) for panel in panels() for target in panel["targets"]]


@pytest.fixture
def prometheus(stack: "Stack") -> Iterator[httpx.Client]:
    stack.up("prometheus", "redis-exporter", profile="observe")
    with httpx.Client(base_url=stack.prometheus_url, trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture
def teacher(stack: "Stack") -> Iterator[None]:
    """Replaces the slow teacher by one that answers without delay, under the same name."""
    stack.compose("--profile", "teacher", "rm", "--stop", "--force", "teacher")
    name = f"{stack.environment['COMPOSE_PROJECT_NAME']}-quick-teacher"
    network = f"{stack.environment['COMPOSE_PROJECT_NAME']}_slow"
    network_options = ("--network", network, "--network-alias", "teacher", "--name", name)
    program = f"{ROOT / 'tests/compose/quick_teacher.py'}:/quick_teacher.py:ro"
    options = ("--rm", "--detach", *network_options, "--volume", program)
    stack.run("docker", "run", *options, "python:3.13-slim", "python", "/quick_teacher.py")
    try:
        wait_until(lambda: "listening" in stack.run("docker", "logs", name))
        yield
    finally:
        stack.run("docker", "rm", "--force", name)


@pytest.fixture
def live_figures(stack: "Stack", tmp_path: Path) -> Iterator[None]:
    """Puts a file of live figures where the profile `learn` writes it."""
    save_report(example_report(), tmp_path / "report.json")
    (tmp_path / "report.json").chmod(0o644)
    stack.up()
    in_volume = "/bundles/experiments.json"
    run = ("run", "--rm", "--no-TTY", "--no-deps")
    mounted = ("--volume", f"{tmp_path}/report.json:/report.json:ro")
    stack.compose(*run, *mounted, "publish", "cp", "/report.json", in_volume)
    yield
    stack.compose(*run, "publish", "rm", in_volume)


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(TIMEOUT_SECONDS):
        if condition():
            return
        time.sleep(1)
    raise TimeoutError


def has_gaps(prometheus: httpx.Client, expression: str, start: float, end: float) -> bool:
    """Tells whether the graph of an expression has no value at some step of the interval."""
    interval = {"start": start, "end": end, "step": STEP_SECONDS}
    answer = prometheus.get("/api/v1/query_range", params={"query": expression, **interval}).json()
    assert answer["status"] == "success", (expression, answer)
    moments = {
        moment
        for series in answer["data"]["result"]
        for moment, value in series["values"]
        if math.isfinite(float(value))
    }
    return len(moments) < (end - start) // STEP_SECONDS + 1


def test_every_panel_has_a_query() -> None:
    assert len(list(panels())) >= 15
    for panel in panels():
        assert panel["targets"], panel["title"]
        assert all(target["expr"] for target in panel["targets"]), panel["title"]


@pytest.mark.usefixtures("teacher", "live_figures")
def test_every_panel_has_data_at_all_times_under_load(
    stack: "Stack", client: httpx.Client, prometheus: httpx.Client
) -> None:
    assert len(expressions()) > 20
    with load(stack.url, "observed"):
        began = time.time()
        while time.time() < began + WARM_UP_SECONDS + OBSERVED_SECONDS:
            # Another history each time: the service caches the teacher's answers.
            history = ["1", str(int(time.time()))]
            answer = client.post("/v1/compare", json={"history": history, "k": 5}).json()
            assert answer["teacher"]["model_version"] == "quick", answer
            time.sleep(1)
        start, end = began + WARM_UP_SECONDS, time.time()
        incomplete = [each for each in expressions() if has_gaps(prometheus, each[1], start, end)]
    assert incomplete == []
    lost = prometheus.get("/api/v1/query", params={"query": "max(recommender_teacher_lost)"})
    assert [each["value"][1] for each in lost.json()["data"]["result"]] == ["0"]


def test_every_target_is_scraped_and_no_alert_is_broken(prometheus: httpx.Client) -> None:
    def targets() -> list[dict[str, Any]]:
        data: dict[str, list[dict[str, Any]]] = prometheus.get("/api/v1/targets").json()["data"]
        return data["activeTargets"]

    wait_until(lambda: len(targets()) == 3 and all(e["health"] != "unknown" for e in targets()))
    assert {each["labels"]["job"] for each in targets()} == {"service", "balancer", "redis"}
    assert {each["health"] for each in targets()} == {"up"}
    groups = prometheus.get("/api/v1/rules").json()["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 10
    assert {rule["health"] for rule in rules} == {"ok"}


def test_an_alert_fires_while_redis_is_down(
    stack: "Stack", client: httpx.Client, prometheus: httpx.Client
) -> None:
    stack.compose("kill", "redis")
    try:
        firing: set[str] = set()
        for _ in range(TIMEOUT_SECONDS):
            client.post("/v1/sessions/a/events?k=1", json={"item_id": "1"})
            alerts = prometheus.get("/api/v1/alerts").json()["data"]["alerts"]
            firing = {each["labels"]["alertname"] for each in alerts}
            if "HistoryLost" in firing:
                break
            time.sleep(1)
        assert "HistoryLost" in firing
    finally:
        stack.up()


def test_grafana_serves_the_dashboard(stack: "Stack") -> None:
    inspected = subprocess.run(
        ["docker", "image", "inspect", GRAFANA], capture_output=True, check=False
    )
    if inspected.returncode:
        pytest.skip(f"no image {GRAFANA} on this machine, and it cannot be pulled")
    stack.up("grafana", profile="observe")
    answer = httpx.get(f"{stack.grafana_url}/api/dashboards/uid/recommender", trust_env=False)
    assert len(answer.json()["dashboard"]["panels"]) > 15
