"""The profile `observe`: what is drawn, and what Prometheus has of it."""

import json
import math
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.compose.load import load

if TYPE_CHECKING:
    from tests.compose.conftest import Stack

ROOT = Path(__file__).parents[2]
GRAFANA = "grafana/grafana:11.6.0"
PATIENCE_SECONDS = 150


def expressions() -> Iterator[str]:
    """Each question of the dashboard, as Grafana would ask it."""
    text = (ROOT / "docker/grafana/dashboards/recommender.json").read_text(encoding="utf-8")
    for panel in json.loads(text)["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


@pytest.fixture
def prometheus(stack: "Stack") -> Iterator[httpx.Client]:
    stack.up("prometheus", "redis-exporter", profile="observe")
    with httpx.Client(base_url=stack.prometheus_url, trust_env=False, timeout=30) as client:
        yield client


def has_data(prometheus: httpx.Client, expression: str) -> bool:
    answer = prometheus.get("/api/v1/query", params={"query": expression}).json()
    assert answer["status"] == "success", (expression, answer)
    return any(math.isfinite(float(each["value"][1])) for each in answer["data"]["result"])


def test_every_panel_has_data(
    stack: "Stack", client: httpx.Client, prometheus: httpx.Client
) -> None:
    missing = list(expressions())
    assert len(missing) > 20
    deadline = time.monotonic() + PATIENCE_SECONDS
    with load(stack.url, "observed"):
        while missing:
            assert time.monotonic() < deadline, missing
            client.post("/v1/compare", json={"history": ["1"], "k": 5})
            time.sleep(5)
            missing = [each for each in missing if not has_data(prometheus, each)]


def test_every_target_is_scraped_and_no_alert_is_broken(prometheus: httpx.Client) -> None:
    targets = prometheus.get("/api/v1/targets").json()["data"]["activeTargets"]
    assert {each["labels"]["job"] for each in targets} == {"service", "balancer", "redis"}
    assert {each["health"] for each in targets} == {"up"}
    groups = prometheus.get("/api/v1/rules").json()["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 10
    assert {rule["health"] for rule in rules} == {"ok"}


def test_an_alert_fires_while_redis_is_away(
    stack: "Stack", client: httpx.Client, prometheus: httpx.Client
) -> None:
    stack.compose("kill", "redis")
    try:
        for _ in range(PATIENCE_SECONDS):
            client.post("/v1/sessions/a/events?k=1", json={"item_id": "1"})
            alerts = prometheus.get("/api/v1/alerts").json()["data"]["alerts"]
            if any(each["labels"]["alertname"] == "HistoryLost" for each in alerts):
                return
            time.sleep(1)
        raise AssertionError(alerts)
    finally:
        stack.up()


def test_grafana_draws_the_dashboard(stack: "Stack") -> None:
    have = subprocess.run(["docker", "image", "inspect", GRAFANA], capture_output=True, check=False)
    if have.returncode:
        pytest.skip(f"{GRAFANA} is not here and no registry is reached")
    stack.up("grafana", profile="observe")
    answer = httpx.get(f"{stack.grafana_url}/api/dashboards/uid/recommender", trust_env=False)
    assert len(answer.json()["dashboard"]["panels"]) > 15
