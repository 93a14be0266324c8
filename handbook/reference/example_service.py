"""Runs the service with the example bundle in this process, to read what it says of itself."""

from functools import cache
from typing import Any, NamedTuple

from starlette.testclient import TestClient

from distilled_recommender.files import BUNDLE, carried
from service.app import create_app
from service.settings import Settings


class ExampleService(NamedTuple):
    """Answers of a running service: its OpenAPI schema, and its metrics as text."""

    openapi: dict[str, Any]
    metrics: str


@cache
def example_service() -> ExampleService:
    """Starts the service, asks it for one session's recommendations, and stops it again."""
    settings = Settings(bundle_path=carried(BUNDLE), workers=1, redis_url=None, log_level="error")
    with TestClient(create_app(settings)) as client:
        asked = client.post("/v1/sessions/reader/events?k=1", json={"item_id": "260"})
        asked.raise_for_status()
        return ExampleService(client.get("/openapi.json").json(), client.get("/metrics").text)
