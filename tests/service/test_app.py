import subprocess
import sys
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware

from export.contract.bundle import BundleError
from service import app as composition
from service.access.hosts import AnswerKnownHosts
from service.admission.middleware import AdmitByCost
from service.api.authorization import AuthorizeByKey
from service.api.problems import STATUS
from service.app import create_app
from service.errors import ServiceError
from service.http.body_limit import BodyLimit
from service.http.draining import CloseWhileDraining
from service.http.lanes.fast_lane import FastLanes
from service.http.lanes.lane_rules import FastLaneError
from service.http.request_log import RequestLog
from service.http.timing import RequestTiming
from service.settings import Settings

if TYPE_CHECKING:
    from tests.service.conftest import Connect


@pytest.fixture
def app() -> FastAPI:
    return create_app(Settings())


def operations(app: FastAPI) -> dict[str, dict[str, Any]]:
    paths = app.openapi()["paths"].items()
    return {f"{verb} {path}": each for path, verbs in paths for verb, each in verbs.items()}


def test_the_service_imports_without_the_libraries_of_training() -> None:
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'transformers', 'pandas', 'onnx']))"
        "; import service.app, service.__main__"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


@pytest.mark.anyio
async def test_a_service_without_a_bundle_does_not_start(
    tmp_path: Path, connect: "Connect"
) -> None:
    with pytest.raises(BundleError, match=r"nothing/manifest\.json: missing"):
        async with connect(Settings(bundle_path=tmp_path / "nothing")):
            pass


def test_middlewares_see_a_request_in_the_order_that_service_app_explains() -> None:
    settings = Settings(log_requests=True, cors_origins="https://shop.example")
    assert middlewares(settings, checks_host=True) == [
        RequestTiming,
        AnswerKnownHosts,
        CloseWhileDraining,
        CORSMiddleware,
        RequestLog,
        AuthorizeByKey,
        FastLanes,
        AdmitByCost,
        BodyLimit,
    ]


def test_requests_are_logged_only_where_the_settings_ask_for_it() -> None:
    with_log = middlewares(Settings(log_requests=True))
    assert middlewares(Settings()) == [each for each in with_log if each is not RequestLog]


def middlewares(settings: Settings, *, checks_host: bool = False) -> list[object]:
    """The middlewares of the service, outermost first."""
    app = create_app(settings, checks_host=checks_host)
    return [each.cls for each in app.user_middleware]


def test_the_service_refuses_to_start_with_a_middleware_that_fast_lanes_would_skip(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(composition, "BodyLimit", GZipMiddleware)
    with pytest.raises(FastLaneError, match="skip the middleware GZipMiddleware"):
        create_app(Settings())


def test_the_routes_are_those_of_the_design(app: FastAPI) -> None:
    assert set(operations(app)) == {
        "post /v1/recommendations",
        "post /v1/recommendations/batch",
        "post /v1/sessions/{session_id}/events",
        "post /v1/events",
        "get /v1/sessions/{session_id}/recommendations",
        "get /v1/sessions/{session_id}",
        "delete /v1/sessions/{session_id}",
        "delete /v1/users/{user_id}",
        "get /v1/items",
        "post /v1/items",
        "post /v1/items/bulk",
        "get /v1/items/{item_id}",
        "patch /v1/items/{item_id}",
        "delete /v1/items/{item_id}",
        "get /v1/items/{item_id}/similar",
        "post /v1/items/{item_id}/similar",
        "get /v1/popular",
        "post /v1/popular",
        "post /v1/teacher/recommendations",
        "post /v1/compare",
        "get /v1/experiments",
        "get /v1/operations",
        "get /v1/examples",
        "get /v1/model",
        "post /v1/model/activate",
        "post /v1/model/rollback",
        "get /healthz",
        "get /readyz",
        "get /metrics",
    }


def test_every_route_documents_its_answer_and_its_problems(app: FastAPI) -> None:
    for name, operation in operations(app).items():
        assert operation["description"], name
        responses = dict(operation["responses"])
        success = responses.pop("204", None) or list(responses.pop("200")["content"])
        assert success, name
        assert ("422" in responses) == ("parameters" in operation or "requestBody" in operation)
        assert ("413" in responses) == ("requestBody" in operation)
        for response in responses.values():
            assert list(response["content"]) == ["application/problem+json"]


def test_every_reference_in_openapi_has_a_target(app: FastAPI) -> None:
    schema = app.openapi()
    known = {
        f"#/components/{kind}/{name}"
        for kind, parts in schema["components"].items()
        for name in parts
    }
    referred = set(references(schema))
    assert "#/components/schemas/Problem" in referred
    assert referred <= known


def references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [each for value in node.values() for each in references(value)]
    if isinstance(node, list):
        return [each for value in node for each in references(value)]
    return []


def test_every_service_error_has_a_status() -> None:
    assert set(STATUS) == set(ServiceError.__subclasses__())
    assert all(isinstance(status, HTTPStatus) for status in STATUS.values())


@pytest.mark.anyio
@pytest.mark.parametrize(("method", "status"), [("GET", 405), ("POST", 404)])
async def test_a_wrong_address_or_method_is_a_problem_too(
    client: httpx.AsyncClient, method: str, status: int
) -> None:
    path = {405: "/v1/sessions/s/events", 404: "/v2/nothing"}[status]
    response = await client.request(method, path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/items", "GET, POST"),
        ("/v1/items/a%2Fb", "DELETE, GET, PATCH"),
        ("/v1/sessions/s", "DELETE, GET"),
        ("/v1/recommendations", "POST"),
        ("/healthz", "GET"),
    ],
)
async def test_the_answer_to_a_wrong_method_lists_all_allowed_ones(
    client: httpx.AsyncClient, path: str, allowed: str
) -> None:
    response = await client.options(path)
    assert (response.status_code, response.headers["allow"]) == (405, allowed)


@pytest.mark.anyio
async def test_an_unexpected_error_is_a_problem_without_internal_details(
    bundle_path: Path,
) -> None:
    app = create_app(Settings(bundle_path=bundle_path))
    app.state.runtime = "broken"
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        response = await client.get("/readyz")
    assert response.status_code == 500
    assert response.json()["detail"] == "an unexpected error: the service's log has the details"
