"""The composition root: makes the application from the settings."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Any

from fastapi import FastAPI
from starlette.middleware import Middleware

from service.api.lanes import open_lanes
from service.api.openapi import complete
from service.api.problems import install_problems
from service.api.routes import docs, health, items, model, page, recommendations, sessions, teacher
from service.bundles.hot_swap import WhileLoading
from service.http.body_limit import BodyLimit
from service.http.draining import CloseWhileDraining, Drain
from service.http.fast_lane import HONOURED, FastLane, FastLanes
from service.http.ids_in_paths import EncodedPath
from service.http.lane_rules import check_skipped
from service.http.request_log import RequestLog
from service.http.timing import RequestTiming
from service.runtime import open_runtime
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import end_tracing, install_tracing

# FastAPI's own telemetry is off: `install_tracing` makes the spans and `Metrics` counts. Left on,
# it looks for OpenTelemetry providers at each request, which costs 12 µs.
_TELEMETRY_OFF = {"tracing": False, "metrics": False, "logs": False}


class Application(FastAPI):
    """FastAPI with an OpenAPI schema that also documents headers, problems and examples."""

    def __init__(self, *, max_k: int, **options: Any) -> None:
        super().__init__(**options)
        self._max_k = max_k

    def openapi(self) -> dict[str, Any]:
        """Returns the schema of all routes; FastAPI makes it once and caches it."""
        if self.openapi_schema is None:
            complete(super().openapi(), self._max_k)
        return super().openapi()


def create_app(
    settings: Settings | None = None, while_loading: WhileLoading = nullcontext
) -> FastAPI:
    """Makes the application; bundles and stores are opened when it starts.

    Args:
        settings: read from the environment by default.
        while_loading: context in which bundles are loaded.

    Raises:
        FastLaneError: a route or a middleware does something that a fast lane would skip.
    """
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_runtime(settings, metrics, drain, while_loading) as app.state.runtime:
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
        telemetry=_TELEMETRY_OFF,
    )
    install_problems(app)
    if settings.tracing:
        install_tracing(app)
    for routes in (recommendations, sessions, teacher, items, model, health, page, docs):
        app.include_router(routes.router)
    app.user_middleware = _middlewares(settings, metrics, drain, open_lanes(app))
    check_skipped(app.user_middleware, FastLanes, HONOURED)
    return app


def _middlewares(
    settings: Settings, metrics: Metrics, drain: Drain, lanes: Sequence[FastLane]
) -> list[Middleware]:
    """Returns the middlewares in the order in which they see a request.

    An answer passes them in the opposite order. A request in a fast lane gets no further than
    `FastLanes`, so what all requests need comes before it.
    """
    return [
        # First: its stopwatch measures all that follows, and `RequestLog` reads it. It names the
        # request, so that every line that is logged afterwards can carry the name.
        Middleware(RequestTiming, metrics=metrics),
        # Before the lanes: their answers close connections too while the worker drains.
        Middleware(CloseWhileDraining, drain=drain),
        # Before the lanes: their requests are logged too. It sees the path as it was sent.
        *([Middleware(RequestLog)] if settings.log_requests else []),
        # Before the two below, because skipping them is part of what makes it fast.
        Middleware(FastLanes, lanes=lanes),
        # After the lanes, which leave encoded paths to it, and before the router, which would
        # split an id at a decoded `/`.
        Middleware(EncodedPath),
        # Last: nothing else reads bodies outside of a lane, and lanes keep the same limit.
        Middleware(BodyLimit),
    ]
