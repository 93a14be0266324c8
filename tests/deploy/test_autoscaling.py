"""Tests of deploy/autoscaling: valid, and about metrics that the service has."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import promql_parser
import pytest
import yaml

from service.api.costs import COSTS
from service.settings import Settings
from tests.deploy.test_observability import exported as exported
from tests.deploy.test_observability import metrics_in
from tests.service.conftest import anyio_backend as anyio_backend
from tests.service.conftest import bundle_path as bundle_path
from tests.service.conftest import connect as connect

FOLDER = Path(__file__).parents[2] / "deploy/autoscaling"


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text("utf-8"))
    return found


def rules() -> dict[str, dict[str, Any]]:
    """Returns the adapter's rules by the name of their metric."""
    return {rule["name"]["as"]: rule for rule in read("adapter.yaml")["rules"]["custom"]}


def query_of(rule: dict[str, Any]) -> str:
    """Returns the query of a rule as the adapter sends it, for all pods of a namespace."""
    series = rule["seriesQuery"].partition("{")[0]
    query: str = rule["metricsQuery"]
    for placeholder, text in (
        ("<<.Series>>", series),
        ("<<.LabelMatchers>>", 'namespace="recommender"'),
        ("<<.GroupBy>>", "pod"),
    ):
        query = query.replace(placeholder, text)
    return query


def test_the_autoscaler_is_valid_and_replaces_that_of_the_stack() -> None:
    autoscaler, kustomization = read("autoscaler.yaml"), read("kustomization.yaml")
    kubernetes_validate.validate(autoscaler, "1.32", strict=True)
    assert kustomization["resources"] == ["../kubernetes"]
    assert kustomization["patches"] == [{"path": "autoscaler.yaml"}]
    stack = (FOLDER.parent / "kubernetes/service.yaml").read_text("utf-8")
    (replaced,) = [
        each
        for each in yaml.safe_load_all(stack)
        if (each["kind"], each["metadata"]) == (autoscaler["kind"], autoscaler["metadata"])
    ]
    for name in ("scaleTargetRef", "minReplicas", "maxReplicas"):
        assert autoscaler["spec"][name] == replaced["spec"][name]
    assert replaced["spec"]["metrics"][0] in autoscaler["spec"]["metrics"]


def test_each_metric_of_the_autoscaler_has_a_rule_and_scales_before_requests_are_refused() -> None:
    metrics = [
        each["pods"] for each in read("autoscaler.yaml")["spec"]["metrics"] if "pods" in each
    ]
    targets = {each["metric"]["name"]: each["target"]["averageValue"] for each in metrics}
    assert targets.keys() == rules().keys()
    assert int(targets["recommender_queued_units"]) * 5 == Settings().heavy_queue_units
    assert int(targets["recommender_requests_in_flight"]) * 2 == Settings().light_requests


@pytest.mark.anyio
async def test_the_adapter_asks_valid_queries_of_metrics_that_the_service_exports(
    exported: set[str],
) -> None:
    assert metrics_in(map(query_of, rules().values())) == {
        rule["seriesQuery"].partition("{")[0] for rule in rules().values()
    }
    for rule in rules().values():
        promql_parser.parse(rule["seriesQuery"])
    assert metrics_in(map(query_of, rules().values())) <= exported


def test_the_latency_is_that_of_light_routes() -> None:
    (pattern,) = re.findall('route=~"(.*?)"', rules()["recommender_p90_seconds"]["metricsQuery"])
    matched = {route for route in COSTS if re.fullmatch(pattern, route.partition(" ")[2])}
    assert {"POST /v1/recommendations", "POST /v1/sessions/{session_id}/events"} <= matched
    assert {COSTS[route].kind for route in matched} == {"light"}
