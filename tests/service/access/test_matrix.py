"""Every route with every kind of key, as docs/access.md shows; `make access` writes the table."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from service.access.principal import Scope
from service.access.route_table import RouteTableError
from service.api.scopes import SCOPES, scope_table
from service.app import create_app
from service.settings import Settings

if TYPE_CHECKING:
    from tests.service.access.conftest import Keys
    from tests.service.conftest import Connect

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[3] / "docs" / "access.md"
BODIES: Mapping[str, Any] = {
    "POST /v1/recommendations": {"history": ["c"]},
    "POST /v1/recommendations/batch": {"requests": [{"history": ["c"]}]},
    "POST /v1/sessions/{session_id}/events": {"item_id": "c"},
    "POST /v1/events": {"events": [{"session_id": "visit", "item_id": "a"}]},
    "POST /v1/teacher/recommendations": {"history": ["c"]},
    "POST /v1/compare": {"history": ["c"]},
    "POST /v1/items": {"item_id": "new", "title": "New", "embedding": [1.0] * 8},
    "POST /v1/items/bulk": {"items": [{"item_id": "new", "hidden": False}]},
    "PATCH /v1/items/{item_id}": {"hidden": True},
    "POST /v1/items/{item_id}/similar": {"k": 3},
    "POST /v1/popular": {"k": 3},
    "POST /v1/model/activate": {"bundle": "b"},
    "POST /v1/model/rollback": {},
}
IDS = {"session_id": "visit", "user_id": "customer", "item_id": "new", "name": "page.css"}
# Of those that pass: 404 for a file of /docs, 409 without a link to bundles, 503 without a teacher.
PASSED = {200, 204, 404, 409, 503}
COLUMNS = (
    *("no key", "read", "write", "teacher", "admin"),
    *("wrong", "revoked", "expired", "other tenant"),
)
HEAD = """\
# Access

Who may call which route of a service that has a `KEYS_FILE`. *read* to *admin* are keys with that
scope only; a key may have several. The key of another tenant has all scopes. `ADMIN_KEY` is a key
with scope *admin*. What `ALLOW_ANONYMOUS` lists needs no key. The last column is a service on
loopback without `KEYS_FILE`, `ADMIN_KEY` and `ALLOW_ANONYMOUS`. 401 and 403 are problems,
`application/problem+json`.

`tests/service/access/test_matrix.py` sends each of these requests and compares. `make access`
writes this page.

"""


async def answer(
    client: httpx.AsyncClient, route: str, headers: Mapping[str, str]
) -> httpx.Response:
    method, _, path = route.partition(" ")
    return await client.request(
        method, path.format(**IDS), json=BODIES.get(route), headers=dict(headers)
    )


async def cell(client: httpx.AsyncClient, route: str, headers: Mapping[str, str]) -> str:
    response = await answer(client, route, headers)
    if response.status_code in {401, 403}:
        assert response.headers["content-type"] == "application/problem+json"
        assert ("www-authenticate" in response.headers) == (response.status_code == 401)
        return str(response.status_code)
    assert response.status_code in PASSED, (route, response.text)
    return "yes"


async def rows(connect: "Connect", settings: Settings, keys: "Keys") -> dict[str, list[str]]:
    closed = settings.model_copy(update={"keys_file": keys.path})
    async with connect(closed) as client:
        table = {
            route: [await cell(client, route, keys.headers[column]) for column in COLUMNS]
            for route in SCOPES
        }
    async with connect(settings) as client:
        for route, cells in table.items():
            cells.append(await cell(client, route, {}))
    return table


def page(table: Mapping[str, list[str]]) -> Iterator[str]:
    yield HEAD
    titles = ["route", *COLUMNS, "no `KEYS_FILE`"]
    yield f"| {' | '.join(titles)} |\n"
    yield f"|{'---|' * len(titles)}\n"
    for route, cells in table.items():
        yield f"| `{route}` | {' | '.join(cells)} |\n"


@pytest.fixture
def settings(bundle_path: Path, tmp_path: Path) -> Settings:
    return Settings(bundle_path=bundle_path, items_path=tmp_path / "items.jsonl")


async def test_each_route_answers_each_key_as_the_documentation_says(
    connect: "Connect", settings: Settings, keys: "Keys"
) -> None:
    table = await rows(connect, settings, keys)
    text = "".join(page(table))
    if os.environ.get("WRITE_ACCESS_TABLE"):
        PAGE.write_text(text, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == text, "run `make access`"


async def test_a_key_passes_the_routes_of_its_scope_and_no_other_one(
    connect: "Connect", settings: Settings, keys: "Keys"
) -> None:
    table = await rows(connect, settings, keys)
    for route, needed in SCOPES.items():
        by_column = dict(zip(COLUMNS, table[route], strict=False))
        for scope in Scope:
            is_allowed = needed in {None, scope}
            assert by_column[scope.value] == ("yes" if is_allowed else "403"), route
        for column in ("no key", "wrong", "revoked", "expired"):
            assert by_column[column] == ("yes" if needed is None else "401"), route
        assert by_column["other tenant"] == "yes"


@pytest.mark.parametrize(
    ("allowed", "headers", "status"),
    [
        ("read", "no key", {"GET": 200, "POST": 401}),
        ("read,write", "no key", {"GET": 200, "POST": 200}),
        ("read", "write", {"GET": 200, "POST": 200}),
        ("write", "read", {"GET": 200, "POST": 200}),
        ("read,write", "wrong", {"GET": 401, "POST": 401}),
    ],
)
async def test_what_everybody_may_do_needs_no_key_but_a_key_that_is_sent_must_be_valid(
    connect: "Connect",
    settings: Settings,
    keys: "Keys",
    allowed: str,
    headers: str,
    status: dict[str, int],
) -> None:
    chosen = settings.model_copy(update={"keys_file": keys.path, "allow_anonymous": allowed})
    async with connect(chosen) as client:
        for method, path in (("GET", "/v1/items"), ("POST", "/v1/sessions/visit/events")):
            response = await client.request(
                method,
                path,
                json={"item_id": "c"} if method == "POST" else None,
                headers=dict(keys.headers[headers]),
            )
            assert response.status_code == status[method]


async def test_without_keys_a_service_that_lets_everybody_in_still_closes_the_admin_routes(
    connect: "Connect", settings: Settings
) -> None:
    chosen = settings.model_copy(update={"allow_anonymous": "read,write"})
    async with connect(chosen) as client:
        statuses = {
            route: (await answer(client, route, {})).status_code
            for route, needed in SCOPES.items()
            if needed is Scope.ADMIN
        }
        problem = (await answer(client, "POST /v1/items", {})).json()
    assert set(statuses.values()) == {403}
    assert problem["detail"].startswith("this route is closed: the service has no ADMIN_KEY")


async def test_an_unread_body_costs_a_stranger_no_parsing(
    connect: "Connect", settings: Settings, keys: "Keys"
) -> None:
    async with connect(settings.model_copy(update={"keys_file": keys.path})) as client:
        response = await client.post("/v1/recommendations", content=b"no json at all")
    assert response.status_code == 401


@pytest.mark.parametrize(
    "path",
    ["/v1/items/", "/v1//items", "/V1/items", "/v1/items%2Fnew", "//v1/items", "/v1/items%0A"],
)
async def test_a_path_that_only_looks_like_a_route_leads_nowhere(
    connect: "Connect", settings: Settings, keys: "Keys", path: str
) -> None:
    async with connect(settings.model_copy(update={"keys_file": keys.path})) as client:
        response = await client.get(f"http://service{path}")
    assert response.status_code == 404
    assert "location" not in response.headers


async def test_the_admin_key_opens_the_admin_routes_only(
    connect: "Connect", settings: Settings, keys: "Keys"
) -> None:
    chosen = settings.model_copy(
        update={"keys_file": keys.path, "admin_key": SecretStr("a key of the tests")}
    )
    header = {"Authorization": "Bearer a key of the tests"}
    async with connect(chosen) as client:
        for route, needed in SCOPES.items():
            expected = "yes" if needed in {None, Scope.ADMIN} else "403"
            assert await cell(client, route, header) == expected, route


def test_a_route_without_a_scope_keeps_the_application_from_being_made() -> None:
    app = create_app(Settings())
    app.get("/v1/new")(lambda: None)
    with pytest.raises(RouteTableError, match=r"without a row in the table: \['GET /v1/new'\]"):
        scope_table(app)


def test_a_scope_without_a_route_keeps_the_application_from_being_made() -> None:
    with pytest.raises(RouteTableError, match=r"rows without a route: \[.*'GET /v1/items'"):
        scope_table(FastAPI(openapi_url=None))
