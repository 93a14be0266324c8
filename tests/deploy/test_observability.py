"""Tests of the dashboard and the alerts: their metrics exist, and each alert has instructions."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from export.contract.log.live_figures import save_report
from handbook.reference.example_service import example_report
from service.settings import Settings

if TYPE_CHECKING:
    from tests.service.conftest import Connect

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "docker/grafana/dashboards/recommender.json"
ALERTS = ROOT / "docker/prometheus/alerts.yml"
ADAPTER = ROOT / "deploy/autoscaling/adapter.yaml"
OPERATIONS = ROOT / "docs/operations.md"
# Metrics of other exporters, which tests/compose looks for in a real Prometheus.
FOREIGN = re.compile(r"haproxy_|redis_|up$")


def dashboard_expressions() -> list[str]:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def metrics_in(expressions: Iterable[str]) -> set[str]:
    found: set[str] = set()

    def collect(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector) and node.name:
            found.add(node.name)

    for expression in expressions:
        promql_parser.walk(promql_parser.parse(expression), collect)
    return found


@pytest.fixture
async def exported(bundle_path: Path, connect: "Connect", tmp_path: Path) -> set[str]:
    """The names of all metrics that the service exports after a request, with live figures."""
    path = tmp_path / "experiments.json"
    save_report(example_report(), path)
    async with connect(Settings(bundle_path=bundle_path, experiments_path=path)) as client:
        await client.post("/v1/sessions/s/events?k=1", json={"item_id": "c"})
        text = (await client.get("/metrics")).text
    return {each.name for family in text_string_to_metric_families(text) for each in family.samples}


@pytest.mark.anyio
@pytest.mark.parametrize("source", ["dashboard", "alerts"])
async def test_dashboard_and_alerts_use_only_metrics_that_exist(
    source: str, exported: set[str]
) -> None:
    expressions = {
        "dashboard": dashboard_expressions(),
        "alerts": [alert["expr"] for alert in alerts()],
    }[source]
    used = {name for name in metrics_in(expressions) if not FOREIGN.match(name)}
    assert len(used) >= 5
    assert used <= exported


@pytest.mark.anyio
async def test_every_metric_of_the_service_is_on_the_dashboard(exported: set[str]) -> None:
    ours = {name for name in exported if name.startswith("recommender_")}
    shown = metrics_in(dashboard_expressions())
    families = {re.sub(r"_(bucket|count|sum|created|total)$", "", name) for name in ours}
    missing = {family for family in families if not any(each.startswith(family) for each in shown)}
    assert missing <= {
        "recommender_shadow_overlap",
        "recommender_shadow_failures",
        "recommender_answers",
    }


def test_no_time_of_a_request_counts_refusals() -> None:
    """A flood of refusals, which take 0 s, would hide that the other requests are slow."""
    adapter = yaml.safe_load(ADAPTER.read_text(encoding="utf-8"))["rules"]["custom"]
    scaled_by = [
        each["metricsQuery"] for each in adapter if "request_seconds" in each["seriesQuery"]
    ]
    alerting = [alert["expr"] for alert in alerts()]
    expressions = [*scaled_by, *alerting, *dashboard_expressions()]
    quantiles = [
        each
        for each in expressions
        if "histogram_quantile" in each and "recommender_part_seconds" not in each
    ]

    assert len(quantiles) == 5  # three of the dashboard, AnswersAreSlow, and the autoscaler's
    assert [each for each in quantiles if 'status!~"429|503"' not in each] == []


def test_every_panel_has_a_description() -> None:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    graphs = [panel for panel in panels if panel["type"] != "row"]
    assert len(graphs) >= 15
    assert all(panel["description"].endswith(".") for panel in graphs)
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_queries_of_a_panel_have_names_of_their_own() -> None:
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
        names = [target["refId"] for target in panel.get("targets", ())]
        assert len({*names}) == len(names), panel["title"]


def test_every_alert_has_three_steps_in_the_operations_guide() -> None:
    sections = dict(
        re.findall(
            r"^### (\w+)\n(.*?)(?=^##|\Z)", OPERATIONS.read_text(encoding="utf-8"), re.M | re.S
        )
    )
    names = {alert["alert"] for alert in alerts()}
    assert names == sections.keys()
    for name, text in sections.items():
        assert re.findall(r"^(\d)\. ", text, re.M) == ["1", "2", "3"], name


def test_the_steps_can_be_taken_in_the_compose_stack() -> None:
    chapter = OPERATIONS.read_text(encoding="utf-8").partition("\n## Alerts\n")[2]
    assert "/v1/model/rollback" not in chapter  # 409: replicas cannot write bundles
    assert "curl localhost:8000/readyz" not in chapter  # any replica answers there
    restarts = re.findall(r"`docker restart [^`]*NAME`(.{40})", chapter)
    assert restarts == [" ([which one](#a-replica-by-its-address))"[:40]] * 2
    assert '<a id="a-replica-by-its-address"></a>' in chapter
    (program,) = re.findall(r'service python -c \\\n  "(.*)"\n', chapter)
    compile(program, "operations.md", "exec")


def test_the_operations_guide_names_panels_that_exist() -> None:
    titles = {
        panel["title"] for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    }
    named = set(re.findall(r'[Pp]anel "([^"]+)"', OPERATIONS.read_text(encoding="utf-8")))
    assert len(named) >= 5
    assert named <= titles


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool (Debian: prometheus)")
def test_every_alert_fires_on_its_condition_and_on_no_other() -> None:
    rules = yaml.safe_load((Path(__file__).parent / "alerts_fire.yml").read_text(encoding="utf-8"))
    firing = rules["tests"][0]["promql_expr_test"][0]["exp_samples"]
    assert len(firing) == len(alerts())
    command = ["promtool", "test", "rules", str(Path(__file__).parent / "alerts_fire.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
