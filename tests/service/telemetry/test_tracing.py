"""Spans reach a collector if TRACING is set."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.service.conftest import PATIENCE_SECONDS, served

if TYPE_CHECKING:
    from tests.conftest import RedisServer


class Collector:
    """An OTLP collector that stores the spans it receives."""

    def __init__(self) -> None:
        spans = self.spans = list[Span]()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    for scope in resource.scope_spans:
                        spans.extend(scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Logs nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever)
    thread.start()
    yield collector
    collector.server.shutdown()
    collector.server.server_close()
    thread.join()


@pytest.mark.slow
def test_a_request_is_a_span_and_its_redis_commands_are_spans_within(
    bundle_path: Path, redis_server: "RedisServer", collector: Collector
) -> None:
    settings = {"bundle_path": bundle_path, "redis_url": redis_server.url, "tracing": True}
    with served(**settings, otel_exporter_otlp_endpoint=collector.url) as url:
        path, body = f"{url}/v1/sessions/s/events", {"item_id": "a"}
        httpx.post(path, json=body, timeout=PATIENCE_SECONDS).raise_for_status()
        httpx.get(f"{url}/readyz", timeout=PATIENCE_SECONDS)
    (request,) = (each for each in collector.spans if each.name.startswith("POST"))
    assert request.name == "POST /v1/sessions/{session_id}/events"
    within = {each.name for each in collector.spans if each.parent_span_id == request.span_id}
    assert "EVALSHA" in within
    assert not any("readyz" in each.name for each in collector.spans)


@pytest.mark.slow
def test_without_tracing_nothing_is_sent_however_fastapi_is_configured(
    bundle_path: Path, redis_server: "RedisServer", collector: Collector
) -> None:
    """FastAPI's own spans would cost each request time, and duplicate those of the service."""
    settings = {"bundle_path": bundle_path, "redis_url": redis_server.url}
    otel = {"otel_exporter_otlp_endpoint": collector.url, "fastapi_otel_auto_configure": "true"}
    with served(**settings, **otel) as url:
        body = {"history": ["a"]}
        answer = httpx.post(f"{url}/v1/recommendations", json=body, timeout=PATIENCE_SECONDS)
    assert (answer.status_code, collector.spans) == (200, [])
