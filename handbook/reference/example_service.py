"""Runs the service with the example bundle in this process, to read what it says of itself."""

from collections.abc import Sequence
from functools import cache
from inspect import getdoc
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from fastapi import FastAPI
from fastapi.routing import RouteContext, iter_route_contexts
from prometheus_client.metrics_core import Metric
from pydantic import SecretStr
from starlette.testclient import TestClient

from distilled_recommender.files import BUNDLE, carried
from export.contract.log.live_figures import SCHEMA, Drift, LiveFigures, LiveReport, save_report
from service.app import create_app
from service.settings import Settings

ADMIN_KEY = "of-the-example-service"  # the service runs without a port, so nobody can use it


class ExampleService(NamedTuple):
    """Parts of a running service.

    Attributes:
        openapi: the OpenAPI schema.
        metrics: the metrics with their values.
        pages: the description of each route that the schema leaves out, as the schema has it.
    """

    openapi: dict[str, Any]
    metrics: Sequence[Metric]
    pages: dict[str, Any]


@cache
def example_service() -> ExampleService:
    """Starts the service, asks it for one session's recommendations, and stops it again.

    The request has a key, so that the metric of keys has its labels.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "experiments.json"
        save_report(example_report(), path)
        settings = Settings(
            bundle_path=carried(BUNDLE),
            workers=1,
            redis_url=None,
            log_level="error",
            experiments_path=path,
            admin_key=SecretStr(ADMIN_KEY),
        )
        return _asked(settings)


def _asked(settings: Settings) -> ExampleService:
    app = create_app(settings)
    with TestClient(app) as client:
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        asked = client.post(
            "/v1/sessions/reader/events?k=1", json={"item_id": "260"}, headers=headers
        )
        asked.raise_for_status()
        reader = app.state.runtime.metrics.reader
        metrics = reader.collect([*reader.read_gauges()])
        return ExampleService(client.get("/openapi.json").json(), metrics, _pages(app))


def _pages(app: FastAPI) -> dict[str, Any]:
    """Returns the operation of each route outside of the schema, with its description."""
    routes = [each for each in iter_route_contexts(app.routes) if not each.include_in_schema]
    return {
        f"{method} {each.path}": {"description": _description(each)}
        for each in routes
        for method in each.methods or ()
    }


def _description(route: RouteContext) -> str:
    """Returns the docstring of a route's function; FastAPI's own function has none."""
    if route.path == "/openapi.json":
        return "Returns the OpenAPI schema of the service."
    return getdoc(route.endpoint) or ""


def example_report() -> LiveReport:
    """Makes live figures of two variants, with drift, for which the service has all its gauges."""
    both = [
        LiveFigures(name, "v", "student", 100, 10, 1, 9.5, 90.25, [10], 50, 5)
        for name in ("default", "other")
    ]
    drift = Drift("v", 0, events=1_000, unknown=1, head=500, head_share=0.5, busiest=10)
    return LiveReport(SCHEMA, None, 0, both, drift)
