"""Several bundles at once, and one in the place of another while both are asked."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from export.bundle import Layout, load_bundle
from service.settings import Settings

if TYPE_CHECKING:
    from tests.service.conftest import Connect

pytestmark = pytest.mark.anyio

KEY = {"Authorization": "Bearer a-key-for-the-tests"}
SaveBundle = Callable[..., Path]


@pytest.fixture
def bundles(save_bundle_with: SaveBundle) -> dict[str, Path]:
    """Two that differ in their scores: those of `b` are the negatives, so it ranks backwards."""
    return {
        "a": save_bundle_with(name="a"),
        "b": save_bundle_with(name="b", scale=-1),
        "broken": save_bundle_with(name="broken", scale=float("nan")),
    }


def settings_of(bundles: dict[str, Path], tmp_path: Path, **more: object) -> Settings:
    chosen = {
        "bundle_path": bundles["a"],
        "admin_key": "a-key-for-the-tests",
        "items_path": tmp_path / "items.jsonl",
    }
    return Settings.model_validate(chosen | more)


async def activate(client: httpx.AsyncClient, bundle: str, **more: str) -> httpx.Response:
    body = {"bundle": bundle, **more}
    return await client.post("/v1/model/activate", json=body, headers=KEY)


async def ids(client: httpx.AsyncClient, history: str = "c") -> str:
    body = {"history": list(history), "k": 3}
    answer = (await client.post("/v1/recommendations", json=body)).json()
    return "".join(item["item_id"] for item in answer["items"])


async def test_another_bundle_takes_over_and_gives_back(
    bundles: dict[str, Path], connect: "Connect", tmp_path: Path
) -> None:
    versions = {name: load_bundle(path).manifest.model_version for name, path in bundles.items()}
    async with connect(settings_of(bundles, tmp_path)) as client:
        response = await activate(client, "b")
        assert response.json() == {
            "variant": "default",
            "weight": 1,
            "model_version": versions["b"],
            "previous_version": versions["a"],
        }
        assert await ids(client) == "bah"
        assert (await client.get("/v1/model")).json()["model_version"] == versions["b"]
        for due in ("def", "bah"):
            response = await client.post("/v1/model/rollback", json={}, headers=KEY)
            assert response.status_code == 200
            assert await ids(client) == due


async def test_a_bundle_that_fails_is_refused_and_the_old_one_stays(
    bundles: dict[str, Path], connect: "Connect", tmp_path: Path
) -> None:
    Layout(bundles["b"]).items.write_text("changed")
    reasons = {
        "broken": "0 items with a finite score",
        "b": "items.jsonl: sha256",
        "nothing": "missing",
    }
    async with connect(settings_of(bundles, tmp_path)) as client:
        for bundle, reason in reasons.items():
            response = await activate(client, bundle)
            assert response.status_code == 422
            assert reason in response.json()["detail"]
            assert await ids(client) == "def"
        response = await client.post("/v1/model/rollback", json={}, headers=KEY)
        assert response.status_code == 409


@pytest.mark.parametrize("bundle", ["../a", ".", "..", "/etc", "a/b", ""])
async def test_no_folder_outside_the_bundles_can_be_named(
    bundle: str, bundles: dict[str, Path], connect: "Connect", tmp_path: Path
) -> None:
    async with connect(settings_of(bundles, tmp_path)) as client:
        response = await activate(client, bundle)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "bundle"


async def test_a_variant_that_is_not_there_is_not_found(
    bundles: dict[str, Path], connect: "Connect", tmp_path: Path
) -> None:
    async with connect(settings_of(bundles, tmp_path)) as client:
        assert (await activate(client, "b", variant="blue")).status_code == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Basic YTpi"}, 401),
        ({"Authorization": "Bearer another-key-of-someone"}, 403),
        ({"Authorization": "Bearer ä"}, 403),
    ],
)
@pytest.mark.parametrize("route", ["activate", "rollback"])
async def test_only_the_admin_changes_the_model(
    headers: dict[str, str],
    status: int,
    route: str,
    bundles: dict[str, Path],
    connect: "Connect",
    tmp_path: Path,
) -> None:
    raw_headers = {key.encode(): value.encode() for key, value in headers.items()}
    async with connect(settings_of(bundles, tmp_path)) as client:
        response = await client.post(
            f"/v1/model/{route}", json={"bundle": "b"}, headers=raw_headers
        )
        assert response.status_code == status
        assert ("www-authenticate" in response.headers) == (status == 401)
        assert await ids(client) == "def"


async def test_without_an_admin_key_nobody_changes_the_model(
    bundles: dict[str, Path], connect: "Connect", tmp_path: Path
) -> None:
    async with connect(settings_of(bundles, tmp_path, admin_key=None)) as client:
        response = await activate(client, "b")
    assert (response.status_code, "no ADMIN_KEY" in response.json()["detail"]) == (403, True)


async def test_added_items_go_over_to_the_next_bundle(
    bundles: dict[str, Path], connect: "Connect", tmp_path: Path
) -> None:
    new = {"item_id": "n", "title": "N", "embedding": [0, 9, 0, 0, 0, 0, 0, 0]}
    async with connect(settings_of(bundles, tmp_path)) as client:
        await activate(client, "b")
        await client.post("/v1/model/rollback", json={}, headers=KEY)
        await client.post("/v1/items", json=new)
        assert (await ids(client))[0] == "n"
        await client.post("/v1/model/rollback", json={}, headers=KEY)
        assert (await ids(client, "bn"))[0] != "n"
        assert (await client.get("/v1/items/n")).status_code == 200


async def test_two_hundred_swaps_under_load_fail_no_request_and_mix_no_versions(
    bundles: dict[str, Path], connect: "Connect", tmp_path: Path
) -> None:
    """`a` ranks d, e, f after `c` with positive scores, `b` ranks b, a, h with negative ones."""
    versions = {name: load_bundle(bundles[name]).manifest.model_version for name in "ab"}
    due = {
        versions["a"]: [("d", 8), ("e", 7), ("f", 6)],
        versions["b"]: [("b", -2), ("a", -3), ("h", -4)],
    }
    answers = Counter[str]()
    is_done = False

    async def load(client: httpx.AsyncClient, number: int) -> None:
        body = {"history": ["c"], "k": 3}
        while not is_done:
            paths = ("/v1/recommendations", f"/v1/sessions/{number}/events?k=3")
            event = {"item_id": "c"}
            for path, content in zip(paths, (body, event), strict=True):
                response = await client.post(path, json=content)
                assert response.status_code == 200
                answer = response.json()
                pairs = [(item["item_id"], item["score"]) for item in answer["items"]]
                assert pairs == due[answer["model_version"]]
                answers[answer["model_version"]] += 1
                await anyio.sleep(0)  # nothing else in this process would make it wait

    async def swap(client: httpx.AsyncClient, number: int) -> None:
        assert (await activate(client, "ba"[number % 2])).status_code == 200

    async with connect(settings_of(bundles, tmp_path)) as client, anyio.create_task_group() as all_:
        for number in range(8):
            all_.start_soon(load, client, number)
        async with anyio.create_task_group() as swaps:
            for number in range(200):
                swaps.start_soon(swap, client, number)
        is_done = True
    assert set(answers) == set(versions.values())
    assert min(answers.values()) > 10


async def test_a_session_keeps_its_variant_and_shares_follow_the_weights(
    bundles: dict[str, Path], connect: "Connect", tmp_path: Path
) -> None:
    variants = f"one={bundles['a']}:3, two={bundles['b']}:1"

    async def variant_of(client: httpx.AsyncClient, session_id: int) -> Any:
        path = f"/v1/sessions/{session_id}/recommendations"
        answer = (await client.get(path)).json()
        by_body = await client.post("/v1/recommendations", json={"session_id": str(session_id)})
        assert by_body.json()["variant"] == answer["variant"]
        return answer["variant"]

    async with connect(settings_of(bundles, tmp_path, variants=variants)) as client:
        assigned = [await variant_of(client, number) for number in range(300)]
        control = await client.post("/v1/recommendations", json={"history": ["c"]})
        metrics = (await client.get("/metrics")).text
    async with connect(settings_of(bundles, tmp_path, variants=variants)) as client:
        assert [await variant_of(client, number) for number in range(300)] == assigned
    assert control.json()["variant"] == "one"
    assert 0.65 < assigned.count("one") / 300 < 0.85
    answered = 2 * assigned.count("two")
    assert (
        f'recommender_answers_total{{degraded="false",source="popular",variant="two"}} {answered}.0'
    ) in metrics
