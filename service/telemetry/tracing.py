"""Traces, where TRACING asks for them: a span for each request, for Redis and for the teacher.

Where they are sent is OpenTelemetry's own business: OTEL_EXPORTER_OTLP_ENDPOINT and its kind.
"""

from fastapi import FastAPI

TRACER_NAME = "distilled-recommender"
# What machines ask every few seconds.
_UNTRACED = "healthz,readyz,metrics"


def install_tracing(app: FastAPI) -> None:
    """Traces the requests of `app`, and what this process asks of others meanwhile."""
    # Of the extra `trace`, and too long to load for a service that is not traced.
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
        app, excluded_urls=_UNTRACED, exclude_spans=["receive", "send"]
    )


def end_tracing() -> None:
    """Sends what waits: a server that ends by a signal runs nothing at its exit."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.shutdown()
