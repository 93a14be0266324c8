"""Runs the service with the example bundle in this process, to read what it says of itself."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from starlette.testclient import TestClient

from distilled_recommender.files import BUNDLE, carried
from export.contract.log.live_figures import SCHEMA, Drift, LiveFigures, LiveReport, save_report
from service.app import create_app
from service.settings import Settings


class ExampleService(NamedTuple):
    """Answers of a running service: its OpenAPI schema, and its metrics as text."""

    openapi: dict[str, Any]
    metrics: str


@cache
def example_service() -> ExampleService:
    """Starts the service, asks it for one session's recommendations, and stops it again."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "experiments.json"
        save_report(example_report(), path)
        settings = Settings(
            bundle_path=carried(BUNDLE),
            workers=1,
            redis_url=None,
            log_level="error",
            experiments_path=path,
        )
        return _asked(settings)


def _asked(settings: Settings) -> ExampleService:
    with TestClient(create_app(settings)) as client:
        asked = client.post("/v1/sessions/reader/events?k=1", json={"item_id": "260"})
        asked.raise_for_status()
        return ExampleService(client.get("/openapi.json").json(), client.get("/metrics").text)


def example_report() -> LiveReport:
    """Makes live figures of two variants, with drift, for which the service has all its gauges."""
    both = [
        LiveFigures(name, "v", "student", 100, 10, 1, 9.5, 90.25, [10], 50, 5)
        for name in ("default", "other")
    ]
    drift = Drift("v", 0, events=1_000, unknown=1, head=500, head_share=0.5, busiest=10)
    return LiveReport(SCHEMA, None, 0, both, drift)
