"""The composition root: builds the FastAPI application from the settings."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from service.access.access import Access
from service.access.hosts import AnswerKnownHosts
from service.access.security_headers import add_security_headers
from service.admission.admission import Admission
from service.admission.middleware import AdmitByCost
from service.api.authorization import AuthorizeByKey
from service.api.batches import events as event_batches
from service.api.batches import items as item_batches
from service.api.costs import COSTS, cost_table
from service.api.lanes import open_lanes
from service.api.openapi.document import complete
from service.api.problems import (
    documented,
    install_problems,
    refusal_response,
    wrong_host_response,
)
from service.api.routes import (
    docs,
    events,
    experiments,
    health,
    model,
    operations,
    page,
    recommendations,
    sessions,
    teacher,
    users,
)
from service.api.routes.catalog import bulk_items, items, popular
from service.api.scopes import scope_table
from service.bundles.hot_swap import WhileLoading
from service.http.body_limit import BodyLimit
from service.http.connections import EarlyRefusal, connections_of
from service.http.draining import CloseWhileDraining, Drain
from service.http.lanes.fast_lane import HONOURED, FastLane, FastLanes
from service.http.lanes.lane_rules import check_skipped
from service.http.origins import EXPOSED_HEADERS, Origins
from service.http.request_log import RequestLog
from service.http.timing import RequestTiming
from service.runtime import open_runtime
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import end_tracing, install_tracing

# FastAPI's own telemetry is off, because `install_tracing` makes the spans and `Metrics` counts
# requests. If it were on, it would look for OpenTelemetry providers at each request, which costs
# 12 µs.
_TELEMETRY_OFF: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}


Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class Application(FastAPI):
    """A FastAPI application whose OpenAPI schema has headers, problems (RFC 9457) and examples."""

    def __init__(self, max_k: int, lifespan: Lifespan) -> None:
        super().__init__(
            title="Distilled recommender",
            version="1",
            lifespan=lifespan,
            docs_url=None,
            redoc_url=None,
            # A redirect would lead to the host that the request names, which can be any.
            redirect_slashes=False,
            telemetry=_TELEMETRY_OFF,
        )
        self._max_k = max_k

    def openapi(self) -> dict[str, Any]:
        """Returns the OpenAPI schema of all routes; the first call makes and caches it."""
        if self.openapi_schema is None:
            complete(super().openapi(), self._max_k)
        return super().openapi()


def create_app(
    settings: Settings | None = None,
    while_loading: WhileLoading = nullcontext,
    *,
    checks_host: bool = False,
) -> FastAPI:
    """Makes the application, which opens its bundles and stores when a server starts it.

    Args:
        settings: the settings of the service; None: read from the environment.
        while_loading: returns the context manager within which each bundle is loaded; by default,
            it does nothing.
        checks_host: whether requests are refused if their header `Host` is not among
            `Settings.answered_hosts`; False for calls within this process, as in tests.

    Raises:
        ValidationError: a setting in the environment is invalid.
        FastLaneError: a fast lane would skip a middleware, or work that FastAPI does for its route.
        RouteTableError: a route has no scope.
        CostError: a route has no cost.
    """
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_runtime(
            settings, metrics, drain, access, while_loading, costs
        ) as app.state.runtime:
            with _admitting(app.state.runtime.admission, settings.allowed_origins):
                yield
        if settings.tracing:
            end_tracing()

    metrics, drain = Metrics(), Drain(settings.drain_seconds)
    access = Access.of(settings)
    app = Application(settings.max_k, lifespan)
    install_problems(app)
    if settings.tracing:
        install_tracing(app)
    _include_routes(app)
    authorization = Middleware(AuthorizeByKey, routes=scope_table(app), access=access)
    costs = cost_table(app, answers_preflights=bool(settings.allowed_origins))
    app.user_middleware = _middlewares(settings, metrics, drain, authorization, open_lanes(app))
    if checks_host and settings.answered_hosts is not None:
        # After the stopwatch, which counts the refused requests too.
        app.user_middleware.insert(1, _known_hosts(settings.answered_hosts))
    check_skipped(app.user_middleware, FastLanes, HONOURED | {AdmitByCost})
    return app


@contextmanager
def _admitting(admission: Admission, origins: Sequence[str]) -> Iterator[None]:
    """Context manager: lets `admission` accept or refuse each request while the context is open.

    `origins`: the origins whose pages may read the refusals.
    """
    connections = connections_of(asyncio.get_running_loop())
    connections.refused = _refusing(origins)
    connections.cors = Origins(origins).lines_for
    connections.admission = admission
    yield
    connections.admission = None


def _refusing(origins: Sequence[str]) -> Callable[[EarlyRefusal], ASGIApp]:
    """Returns a function that makes the answer to a request that no middleware has seen.

    Pages of `origins` may read it.
    """
    cors = _cors(origins)

    def answer(error: EarlyRefusal) -> ASGIApp:
        response = refusal_response(error)
        add_security_headers(response.raw_headers)
        return cors.cls(response, *cors.args, **cors.kwargs) if origins else response

    return answer


def _include_routes(app: FastAPI) -> None:
    for routes in (
        recommendations,
        sessions,
        events,
        users,
        teacher,
        items,
        bulk_items,
        popular,
        model,
        experiments,
        operations,
        page,
        docs,
    ):
        app.include_router(routes.router, responses=documented(HTTPStatus.SERVICE_UNAVAILABLE))
    app.include_router(health.router)


def _known_hosts(names: Collection[str]) -> Middleware:
    return Middleware(AnswerKnownHosts, names=names, answer=wrong_host_response)


def _cors(origins: Sequence[str]) -> Middleware:
    return Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["GET", "POST", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "X-Request-ID"],
        expose_headers=EXPOSED_HEADERS,
    )


def _middlewares(
    settings: Settings,
    metrics: Metrics,
    drain: Drain,
    authorization: Middleware,
    lanes: Sequence[FastLane],
) -> list[Middleware]:
    """Returns the middlewares in the order in which a request passes them.

    The answer passes them in the opposite order. A request in a fast lane goes no further than
    `FastLanes`, so a middleware that every request needs comes before `FastLanes`.
    """
    return [
        # First, because its stopwatch measures everything that follows, and because it assigns the
        # request id, which every later log line carries.
        Middleware(RequestTiming, metrics=metrics),
        # Before the lanes, because answers from a lane must close connections too while draining.
        Middleware(CloseWhileDraining, drain=drain),
        # Before authorization, because a browser sends its preflight request without a key.
        *([_cors(settings.allowed_origins)] if settings.allowed_origins else []),
        # Before the lanes, because requests in a lane are logged too.
        *([Middleware(RequestLog)] if settings.log_requests else []),
        # Before everything that reads a body or calls a route, fast lanes included.
        authorization,
        # Before admission by cost, so that a request in a lane saves its time.
        Middleware(FastLanes, lanes=lanes),
        # After the lanes, whose requests are light, and before bodies are parsed.
        Middleware(AdmitByCost, costs=COSTS, answer=refusal_response),
        # Last, because only the routes after it read bodies. Lanes check the same limit themselves.
        Middleware(
            BodyLimit,
            max_structure={
                each.path: each.max_structure for each in (event_batches.BODY, item_batches.BODY)
            },
        ),
    ]
