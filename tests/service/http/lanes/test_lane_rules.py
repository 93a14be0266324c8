"""A route that does more than its fast lane knows keeps the application from being made."""

# ruff: noqa: ARG001 - FastAPI reads the parameters of handlers that nothing calls

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, BackgroundTasks, Body, Depends, FastAPI, Header, Request, Response
from fastapi.responses import PlainTextResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

from service.api.routes import sessions
from service.app import create_app
from service.http.body_limit import MAX_BODY_BYTES, BodyLimit
from service.http.lanes.fast_lane import HONOURED, FastLane, FastLanes, Provided, open_lane
from service.http.lanes.lane_rules import FastLaneError, check_skipped
from service.settings import Settings


class Click(BaseModel):
    """A body."""

    item_id: str


async def known() -> int:
    return 1


async def check_quota() -> None:
    """A dependency that lanes do not know."""


async def click(click: Click, value: Annotated[int, Depends(known)]) -> Response:
    return Response()


PROVIDED: Provided = {known: lambda _: 1}


def lane_of(
    handler: Callable[..., Any] = click, provided: Provided = PROVIDED, **options: Any
) -> FastLane:
    app = FastAPI()
    app.post("/clicks", **options)(handler)
    return open_lane(app, handler, provided)


def test_a_route_whose_dependencies_are_all_known_has_a_lane() -> None:
    assert lane_of().match("/clicks")


def test_the_service_refuses_to_start_when_a_route_with_a_lane_gets_another_dependency(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    create_app(Settings())
    guarded = APIRouter(dependencies=[Depends(check_quota)])
    guarded.include_router(sessions.router)
    monkeypatch.setattr(sessions, "router", guarded)
    with pytest.raises(
        FastLaneError,
        match=r"POST /v1/sessions/\{session_id\}/events has the dependency check_quota",
    ):
        create_app(Settings())


def test_a_dependency_of_the_whole_application_is_one_of_the_route() -> None:
    app = FastAPI(dependencies=[Depends(check_quota)])
    app.post("/clicks")(click)
    with pytest.raises(FastLaneError, match="the dependency check_quota"):
        open_lane(app, click, PROVIDED)


@pytest.mark.parametrize("path", ["/clicks", "/{anything}"])
def test_a_lane_for_a_route_that_another_one_hides_is_refused(path: str) -> None:
    app = FastAPI()
    app.get("/clicks")(known)  # another method hides nothing
    app.post(path, dependencies=[Depends(check_quota)])(click_checked)
    app.post("/clicks")(click)
    with pytest.raises(FastLaneError, match=r"FastAPI answers by /\S+, which comes first"):
        open_lane(app, click, PROVIDED)


def test_a_lane_for_a_route_that_a_mounted_application_hides_is_refused() -> None:
    app = FastAPI()
    app.mount("/clicks", FastAPI())
    app.post("/clicks/{item_id}")(click)
    with pytest.raises(FastLaneError, match="FastAPI answers by /clicks, which comes first"):
        open_lane(app, click, PROVIDED)


async def get_tenant(x_tenant: Annotated[str, Header()]) -> str:
    return x_tenant


async def checked(quota: Annotated[None, Depends(check_quota)]) -> None:
    """A dependency that depends on another."""


async def click_checked(click: Click, check: Annotated[None, Depends(checked)]) -> Response:
    return Response()


async def click_of_tenant(click: Click, tenant: Annotated[str, Depends(get_tenant)]) -> Response:
    return Response()


def test_a_known_dependency_with_an_unknown_one_of_its_own_is_refused() -> None:
    with pytest.raises(FastLaneError, match="has the dependency check_quota"):
        lane_of(click_checked, provided={checked: lambda _: None})


def test_a_known_dependency_with_a_parameter_of_its_own_is_refused() -> None:
    with pytest.raises(FastLaneError, match="the header parameter x_tenant of get_tenant"):
        lane_of(click_of_tenant, provided={get_tenant: lambda _: "t"})


class LoggingRoute(APIRoute):
    """A route class of which lanes know nothing."""


def test_a_route_class_of_its_own_is_refused() -> None:
    app = FastAPI()
    app.router.route_class = LoggingRoute
    app.post("/clicks")(click)
    with pytest.raises(FastLaneError, match="the route class LoggingRoute"):
        open_lane(app, click, PROVIDED)


@pytest.mark.parametrize(
    ("options", "feature"),
    [
        ({"dependencies": [Depends(check_quota)]}, "the dependency check_quota"),
        ({"status_code": 201}, "the status code 201"),
        ({"callbacks": [APIRoute("/", click)]}, "callbacks"),
        ({"response_class": PlainTextResponse}, "the response class PlainTextResponse"),
    ],
)
def test_an_option_that_the_lane_would_skip_is_refused(
    options: dict[str, Any], feature: str
) -> None:
    with pytest.raises(FastLaneError, match=f"^POST /clicks has {feature}, "):
        lane_of(**options)


async def no_response(click: Click) -> Click:
    return click


def in_a_thread(click: Click) -> Response:
    return Response()


async def with_header(click: Click, x_tenant: Annotated[str, Header()]) -> Response:
    return Response()


async def with_request(click: Click, request: Request) -> Response:
    return Response()


async def with_tasks(click: Click, tasks: BackgroundTasks) -> Response:
    return Response()


async def without_body() -> Response:
    return Response()


async def with_two_bodies(click: Click, other: Click) -> Response:
    return Response()


async def with_embedded_body(click: Annotated[Click, Body(embed=True)]) -> Response:
    return Response()


async def with_list(clicks: list[Click]) -> Response:
    return Response()


@pytest.mark.parametrize(
    ("handler", "feature"),
    [
        (no_response, "a response model"),
        (in_a_thread, "a handler that runs in a thread"),
        (with_header, "the header or cookie parameter x_tenant"),
        (with_request, "the parameter request"),
        (with_tasks, "the parameter tasks"),
        (without_body, "a body that is not one pydantic model"),
        (with_two_bodies, "a body that is not one pydantic model"),
        (with_embedded_body, "a body that is not one pydantic model"),
        (with_list, "a body that is not one pydantic model"),
    ],
)
def test_a_handler_that_fastapi_has_to_call_is_refused(
    handler: Callable[..., Any], feature: str
) -> None:
    with pytest.raises(FastLaneError, match=feature):
        lane_of(handler)


def test_a_convertor_in_the_path_is_refused() -> None:
    async def click_of(number: int, click: Click) -> Response:
        return Response()

    app = FastAPI()
    app.post("/clicks/{number:int}")(click_of)
    with pytest.raises(FastLaneError, match="a convertor for number"):
        open_lane(app, click_of, {})


def test_a_handler_without_a_route_is_refused() -> None:
    with pytest.raises(FastLaneError, match="no route calls click"):
        open_lane(FastAPI(), click, {})


def test_a_lane_takes_no_longer_body_than_its_route() -> None:
    assert lane_of().max_body_bytes == MAX_BODY_BYTES
    assert lane_of(max_body_size=100).max_body_bytes == 100


def test_a_middleware_that_lanes_would_skip_is_refused() -> None:
    inside = [Middleware(FastLanes, lanes=[]), Middleware(BodyLimit)]
    check_skipped([Middleware(GZipMiddleware), *inside], FastLanes, HONOURED)
    with pytest.raises(FastLaneError, match="would skip the middleware GZipMiddleware"):
        check_skipped([*inside, Middleware(GZipMiddleware)], FastLanes, HONOURED)
