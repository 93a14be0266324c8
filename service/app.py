"""The composition root: settings in, application out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

from fastapi import FastAPI

from service.api.openapi import complete
from service.api.problems import install_problems
from service.api.routes import docs, health, items, model, page, recommendations, sessions, teacher
from service.bundles.hot_swap import WhileLoading
from service.http.body_limit import BodyLimit
from service.http.draining import CloseWhileDraining, Drain
from service.http.fast_lane import FastLanes
from service.http.ids_in_paths import EncodedPath
from service.http.request_log import RequestLog
from service.http.timing import RequestTiming
from service.runtime import running
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import end_tracing, install_tracing

# FastAPI's own, of late: traces are `install_tracing`'s, counts `Metrics`', and whether anybody
# wants others it asks at each request, for 12 µs.
_UNTRACED = {"tracing": False, "metrics": False, "logs": False}


class Application(FastAPI):
    """FastAPI whose OpenAPI is complete."""

    def __init__(self, *, max_k: int, **options: Any) -> None:
        super().__init__(**options)
        self._max_k = max_k

    def openapi(self) -> dict[str, Any]:
        """The schema of all routes; FastAPI makes it once and keeps it."""
        if self.openapi_schema is None:
            complete(super().openapi(), self._max_k)
        return super().openapi()


def create_app(
    settings: Settings | None = None, while_loading: WhileLoading = nullcontext
) -> FastAPI:
    """Makes the service, by default from the environment; its parts are opened when it starts."""
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with running(settings, metrics, drain, while_loading) as app.state.runtime:
            yield
        if settings.tracing:
            end_tracing()

    metrics, drain = Metrics(), Drain(settings.drain_seconds)
    app = Application(
        max_k=settings.max_k,
        title="Distilled recommender",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        telemetry=_UNTRACED,
    )
    app.add_middleware(BodyLimit)
    app.add_middleware(EncodedPath)
    app.add_middleware(
        FastLanes, lanes=(sessions.EVENTS_LANE, recommendations.RECOMMENDATIONS_LANE)
    )
    if settings.log_requests:
        app.add_middleware(RequestLog)
    app.add_middleware(CloseWhileDraining, drain=drain)
    app.add_middleware(
        RequestTiming, metrics=metrics
    )  # the last one added is the first to see a request
    install_problems(app)
    if settings.tracing:
        install_tracing(app)
    for routes in (recommendations, sessions, teacher, items, model, health, page, docs):
        app.include_router(routes.router)
    return app
