"""The headers of every answer: for browsers, caches and pages of other origins."""

from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from service.api.scopes import SCOPES
from service.app import create_app
from service.settings import Settings
from tests.service.access.test_matrix import answer

if TYPE_CHECKING:
    from tests.service.access.conftest import Keys
    from tests.service.conftest import Connect, Serve

pytestmark = pytest.mark.anyio

PAGES = ("GET /", "GET /static/{name}", "GET /docs", "GET /docs/{name}")


@pytest.mark.parametrize("name", ["all", "no key"])
async def test_no_answer_is_sniffed_and_only_pages_are_cached(
    bundle_path: Path, tmp_path: Path, keys: "Keys", connect: "Connect", name: str
) -> None:
    items_path = tmp_path / "items"
    settings = Settings(bundle_path=bundle_path, items_path=items_path, keys_file=keys.path)
    async with connect(settings) as client:
        answers = {route: await answer(client, route, keys.headers[name]) for route in SCOPES}
        answers["GET /nothing"] = await client.get("/nothing")
        answers["PUT /v1/items"] = await client.put("/v1/items")
    for route, response in answers.items():
        assert response.headers.get_list("x-content-type-options") == ["nosniff"], route
        is_page = route in PAGES and response.is_success
        expected = "no-cache" if is_page else "no-store"
        assert response.headers.get_list("cache-control") == [expected], route


async def test_an_unexpected_error_has_the_headers_too(bundle_path: Path) -> None:
    app = create_app(Settings(bundle_path=bundle_path))
    app.state.runtime = "broken"
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        response = await client.get("/readyz")
    assert response.status_code == 500
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"


def test_an_answer_names_no_server_also_when_the_request_is_refused_by_the_server(
    serve: "Serve",
) -> None:
    url = serve()
    for response in (httpx.get(f"{url}/healthz"), httpx.get(f"{url}/?{'x' * 10_000}")):
        assert response.status_code in {200, 414}
        assert "server" not in response.headers
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"


async def test_swagger_ui_may_run_its_own_scripts_only(client: httpx.AsyncClient) -> None:
    policy = (await client.get("/docs")).headers["content-security-policy"]
    rules = dict(each.strip().partition(" ")[::2] for each in policy.split(";"))
    assert rules["default-src"] == "'self'"
    assert "unsafe" not in rules["script-src"]
    assert rules["script-src"].startswith("'self' 'sha256-")
    assert rules["frame-ancestors"] == "'none'"


PREFLIGHT = {
    "Origin": "https://shop.example",
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}


async def test_a_page_of_another_origin_may_call_nothing_by_default(
    client: httpx.AsyncClient,
) -> None:
    response = await client.options("/v1/recommendations", headers=PREFLIGHT)
    assert response.status_code == 405
    response = await client.get("/v1/items", headers={"Origin": "https://shop.example"})
    assert not any(name.startswith("access-control-") for name in response.headers)


async def test_a_page_of_a_listed_origin_may_call_with_its_key_and_read_when_to_try_again(
    bundle_path: Path, keys: "Keys"
) -> None:
    settings = Settings(
        bundle_path=bundle_path, keys_file=keys.path, cors_origins="https://shop.example"
    )
    origin = {"Origin": "https://shop.example"}
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client,
    ):
        allowed = await client.options("/v1/recommendations", headers=PREFLIGHT)
        other = await client.options(
            "/v1/recommendations", headers=PREFLIGHT | {"Origin": "https://other.example"}
        )
        refused = await client.get("/v1/items", headers=origin)
        served = await client.get("/v1/items", headers=origin | dict(keys.headers["read"]))
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://shop.example"
    assert "Authorization" in allowed.headers["access-control-allow-headers"]
    assert "access-control-allow-origin" not in other.headers
    assert (refused.status_code, served.status_code) == (401, 200)
    for each in (refused, served):
        assert each.headers["access-control-allow-origin"] == "https://shop.example"
        assert "Retry-After" in each.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in each.headers
