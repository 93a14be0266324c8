"""OpenTelemetry traces, if TRACING is set: spans of requests, Redis commands and teacher calls.

OpenTelemetry's own environment variables, such as OTEL_EXPORTER_OTLP_ENDPOINT, say where spans are
sent.
"""

from typing import Any

from fastapi import FastAPI

TRACER_NAME = "distilled-recommender"
# Not traced, because load balancers and Prometheus request these paths every few seconds.
_EXCLUDED_PATHS = "healthz,readyz,metrics"
_ADDRESSES = frozenset({"http.target", "http.url", "url.full", "url.path", "url.query"})


def install_tracing(app: FastAPI) -> None:
    """Makes OpenTelemetry record a span for each request of `app`, of redis-py and of httpx.

    The paths for health checks and metrics are left out.
    """
    # Imported here, because these packages are only installed with the extra `trace`, and importing
    # them takes long.
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
    from opentelemetry.instrumentation.redis import RedisInstrumentor
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: TRACER_NAME}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    RedisInstrumentor().instrument()
    HTTPXClientInstrumentor().instrument()
    FastAPIInstrumentor.instrument_app(
        app,
        excluded_urls=_EXCLUDED_PATHS,
        exclude_spans=["receive", "send"],
        server_request_hook=_scrub,
    )


def _scrub(span: Any, _: Any) -> None:
    """Replaces URLs and paths in a request's span with the route's template.

    URLs and paths contain session ids and titles, which must not leave the service.
    """
    attributes = dict(getattr(span, "attributes", None) or {})
    for name in _ADDRESSES & attributes.keys():
        span.set_attribute(name, attributes.get("http.route", "none"))


def end_tracing() -> None:
    """Sends the spans that are still buffered, and ends tracing.

    OpenTelemetry's own exit handler would do so, but exit handlers do not run when a signal ends
    the server.
    """
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.shutdown()
