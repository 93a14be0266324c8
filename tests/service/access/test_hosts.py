"""A service without keys on loopback answers no web page whose name resolves to this machine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from service.access.key_commands import NewKey, create_key
from service.access.principal import Scope
from service.app import create_app
from service.settings import Settings
from service.worker import create_worker

pytestmark = pytest.mark.anyio

QUERY = {"history": ["c"]}


@asynccontextmanager
async def checking(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings, checks_host=True)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        yield client


async def test_hosts_of_loopback_are_answered_and_others_are_not_in_lanes_and_by_fastapi_alike(
    bundle_path: Path,
) -> None:
    async with checking(Settings(bundle_path=bundle_path)) as client:

        async def statuses(host: str) -> set[int]:
            headers = {"Host": host}
            lane = await client.post("/v1/recommendations", json=QUERY, headers=headers)
            return {lane.status_code, (await client.get("/v1/items", headers=headers)).status_code}

        for host in ("127.0.0.1", "127.0.0.1:9999", "LOCALHOST:80", "localhost.", "[::1]:8000"):
            for _ in range(2):  # the second time, it is known
                assert await statuses(host) == {200}
        for host in ("evil.example:8000", "127.0.0.1.evil.example", "10.0.0.1", "", "[::1].evil"):
            for _ in range(2):
                assert await statuses(host) == {421}
        refused = await client.get("/v1/items", headers={"Host": "evil.example"})
        assert refused.headers["content-type"] == "application/problem+json"
        assert "add the host to ALLOWED_HOSTS" in refused.json()["detail"]


async def test_a_request_with_two_hosts_needs_both_to_be_allowed(bundle_path: Path) -> None:
    async with checking(Settings(bundle_path=bundle_path)) as client:
        hosts = [("Host", "127.0.0.1"), ("Host", "evil.example")]
        assert (await client.get("/v1/items", headers=hosts)).status_code == 421


async def test_allowed_hosts_are_answered_beside_those_of_loopback(bundle_path: Path) -> None:
    settings = Settings(bundle_path=bundle_path, allowed_hosts="shop.example, Other.example")
    async with checking(settings) as client:
        for host, status in {
            "shop.example:443": 200,
            "other.example": 200,
            "localhost": 200,
            "evil.example": 421,
        }.items():
            assert (await client.get("/v1/items", headers={"Host": host})).status_code == status


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_probes_and_prometheus_may_name_the_address_of_a_pod(
    bundle_path: Path, path: str
) -> None:
    async with checking(Settings(bundle_path=bundle_path, allowed_hosts="shop.example")) as client:
        assert (await client.get(path, headers={"Host": "10.0.0.5:8000"})).status_code == 200


def test_without_allowed_hosts_only_a_service_on_loopback_that_needs_no_key_checks(
    tmp_path: Path,
) -> None:
    create_key(tmp_path / "keys", NewKey(frozenset({Scope.READ})))
    keys, loopback = tmp_path / "keys", frozenset({"127.0.0.1"})
    assert Settings().answered_hosts == loopback
    assert Settings(keys_file=keys).answered_hosts is None
    assert Settings(keys_file=keys, allow_anonymous="read").answered_hosts == frozenset(
        {"127.0.0.1"}
    )
    assert Settings(host="192.0.2.1", allow_anonymous="read").answered_hosts is None
    assert Settings(allowed_hosts="*").answered_hosts is None
    with pytest.raises(ValidationError, match="'http://a' must be a host name"):
        Settings(allowed_hosts="http://a")


async def test_a_worker_checks_the_host(bundle_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUNDLE_PATH", str(bundle_path))
    transport = httpx.ASGITransport(create_worker())
    async with httpx.AsyncClient(transport=transport, base_url="http://evil.example") as client:
        assert (await client.get("/v1/items")).status_code == 421
