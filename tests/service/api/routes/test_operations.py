"""The route of the operators' page."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from service.access.key_commands import NewKey, create_key
from service.access.principal import Limits, Scope
from service.settings import Settings

if TYPE_CHECKING:
    from tests.service.conftest import Connect

pytestmark = pytest.mark.anyio


async def read(client: httpx.AsyncClient, **headers: str) -> dict[str, Any]:
    answer = await client.get("/v1/operations", headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def value(answer: dict[str, Any], name: str, **labels: str) -> float | None:
    """Returns the value of the one sample with these labels; None: there is none."""
    found = [
        each["value"]
        for each in answer["samples"]
        if (each["name"], each["labels"]) == (f"recommender_{name}", labels)
    ]
    assert len(found) < 2
    return found[0] if found else None


async def test_an_operator_reads_the_model_and_the_metrics_at_once(
    client: httpx.AsyncClient,
) -> None:
    await client.get("/v1/items/zebra")
    answer = await read(client)
    assert answer["model"] == (await client.get("/v1/model")).json()
    route = {"method": "GET", "route": "/v1/items/{item_id}", "status": "404"}
    assert value(answer, "request_seconds_count", **route) == 1
    assert value(answer, "request_seconds_bucket", **route, le="+Inf") == 1
    assert value(answer, "refusals_total", reason="busy") == 0
    assert value(answer, "added_items") == 0
    assert answer["replica"]
    assert {type(each["value"]) for each in answer["samples"]} == {float}


async def test_requests_are_counted_by_key_id_and_outcome(
    connect: "Connect", bundle_path: Path, tmp_path: Path
) -> None:
    path = tmp_path / "keys.json"
    two_at_once = Limits(requests_per_second=0.001, burst=2)
    reader = create_key(path, NewKey(frozenset({Scope.READ}), limits=two_at_once))
    admin = create_key(path, NewKey(frozenset({Scope.ADMIN})))
    async with connect(Settings(bundle_path=bundle_path, keys_file=path)) as client:
        for item in ("a", "zebra", "a"):
            header = {"Authorization": f"Bearer {reader}"}
            await client.get(f"/v1/items/{item}", headers=header)
        answer = await read(client, Authorization=f"Bearer {admin}")
        assert (await client.get("/v1/operations")).status_code == 401
        assert reader.partition(".")[0] not in (await client.get("/metrics")).text
    key = reader.partition(".")[0]
    for outcome in ("answered", "failed", "limited"):
        assert value(answer, "key_requests_total", key=key, outcome=outcome) == 1
    assert reader.partition(".")[2] not in str(answer)


async def test_requests_without_a_key_are_counted_for_no_key(client: httpx.AsyncClient) -> None:
    await client.get("/v1/items/a")
    answer = await read(client)
    assert not [each for each in answer["samples"] if "key" in each["labels"]]
