"""Replacing a served bundle, by a request or by moving its link."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from export.contract.bundle import BundleLayout, load_bundle
from export.contract.bundles_folder import BundleLink
from service.bundles import hot_swap
from service.settings import Settings
from tests.service.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.service.conftest import Connect

pytestmark = pytest.mark.anyio

ADMIN_KEY = "a-key-for-the-tests"
KEY = {"Authorization": f"Bearer {ADMIN_KEY}"}


@pytest.fixture
def link(tmp_path: Path, save_bundle_with: Callable[..., Path]) -> BundleLink:
    """A link to bundle `a`; `b` has the negative scores, so it ranks backwards."""
    link = BundleLink(tmp_path / "bundles" / "active")
    link.path.parent.mkdir()
    for name, scale in {"a": 1, "b": -1, "broken": float("nan")}.items():
        save_bundle_with(name=f"bundles/{name}", scale=scale)
    link.move("a")
    return link


@pytest.fixture
def settings(link: BundleLink, tmp_path: Path) -> Settings:
    return settings_of(link.path, items_path=tmp_path / "items.jsonl")


def settings_of(bundle_path: Path, **more: object) -> Settings:
    chosen = {"bundle_path": bundle_path, "bundles_poll_seconds": 0.01, "admin_key": ADMIN_KEY}
    return Settings.model_validate(chosen | more)


async def activate(client: httpx.AsyncClient, bundle: str, **more: str) -> httpx.Response:
    return await client.post("/v1/model/activate", json={"bundle": bundle, **more}, headers=KEY)


async def rollback(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/v1/model/rollback", json={}, headers=KEY)


async def ids(client: httpx.AsyncClient, history: str = "c") -> str:
    body = {"history": list(history), "k": 3}
    answer = (await client.post("/v1/recommendations", json=body)).json()
    return "".join(item["item_id"] for item in answer["items"])


async def variant(client: httpx.AsyncClient) -> dict[str, Any]:
    answer: dict[str, Any] = (await client.get("/v1/model")).json()["variants"][0]
    return answer


async def wait_for(client: httpx.AsyncClient, **expected: object) -> None:
    """Waits until the variant has these values."""
    with anyio.fail_after(PATIENCE_SECONDS):
        while not expected.items() <= (await variant(client)).items():
            await anyio.sleep(0.01)


async def wait_for_refusal(client: httpx.AsyncClient, reason: str) -> None:
    """Waits until the variant reports a refused bundle with this reason."""
    with anyio.fail_after(PATIENCE_SECONDS):
        while reason not in str((await variant(client))["refused"]):
            await anyio.sleep(0.01)


def version(folder: Path) -> str:
    return load_bundle(folder).manifest.model_version


async def test_activation_serves_another_bundle_and_rollback_the_previous_one(
    link: BundleLink, settings: Settings, connect: "Connect"
) -> None:
    async with connect(settings) as client:
        response = await activate(client, "b")
        assert response.json() == {
            "variant": "default",
            "weight": 1,
            "model_version": version(link.folder("b")),
            "bundle": "b",
            "previous_bundle": "a",
            "refused": None,
        }
        assert await ids(client) == "bah"
        assert (await client.get("/v1/model")).json()["model_version"] == version(link.path)
        for expected in ("def", "bah"):
            assert (await rollback(client)).status_code == 200
            assert await ids(client) == expected


async def test_every_process_follows_the_link_and_any_of_them_can_roll_back(
    settings: Settings, connect: "Connect"
) -> None:
    async with connect(settings) as one, connect(settings) as other:
        await activate(one, "b")
        await wait_for(other, bundle="b", previous_bundle="a")
        assert await ids(other) == "bah"
        await rollback(other)
        await wait_for(one, bundle="a", previous_bundle="b")
        assert await ids(one) == "def"


async def test_a_process_that_starts_later_serves_the_activated_bundle(
    settings: Settings, connect: "Connect"
) -> None:
    async with connect(settings) as client:
        await activate(client, "b")
    async with connect(settings) as client:
        assert await ids(client) == "bah"
        assert (await rollback(client)).json()["bundle"] == "a"


async def test_a_faulty_bundle_is_refused_and_the_old_one_stays(
    link: BundleLink, settings: Settings, connect: "Connect"
) -> None:
    BundleLayout(link.folder("b")).items.write_text("changed")
    reasons = {
        "broken": "0 items with a finite score",
        "b": "items.jsonl: sha256",
        "nothing": "missing",
        "active": "a link, not a bundle",
    }
    async with connect(settings) as client:
        for bundle, reason in reasons.items():
            response = await activate(client, bundle)
            assert response.status_code == 422
            assert reason in response.json()["detail"]
            assert (await ids(client), link.bundle) == ("def", "a")
        assert (await rollback(client)).status_code == 409


async def test_a_link_moved_to_a_faulty_bundle_is_not_followed_and_reported(
    link: BundleLink, settings: Settings, connect: "Connect"
) -> None:
    async with connect(settings) as client:
        link.move("broken")
        await wait_for_refusal(client, "0 items with a finite score")
        assert await ids(client) == "def"
        assert 'bundle_refused{variant="default"} 1.0' in (await client.get("/metrics")).text
        link.move("b")
        await wait_for(client, bundle="b", refused=None)
        assert 'bundle_refused{variant="default"} 0.0' in (await client.get("/metrics")).text


async def test_an_unexpected_error_while_loading_is_reported_as_a_refusal(
    link: BundleLink, settings: Settings, connect: "Connect", monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect(settings) as client:
        monkeypatch.setattr(hot_swap, "load_recommender", lambda *_: [][0])
        link.move("b")
        await wait_for(client, bundle="a", refused="IndexError: list index out of range")
        assert 'bundle_refused{variant="default"} 1.0' in (await client.get("/metrics")).text


async def test_a_rollback_after_the_link_was_moved_by_hand_remembers_the_served_bundle(
    link: BundleLink, settings: Settings, connect: "Connect"
) -> None:
    async with connect(settings.model_copy(update={"bundles_poll_seconds": 600})) as client:
        await activate(client, "b")
        link.path.unlink()
        link.path.symlink_to("broken")  # as `ln -sfn` does: the previous bundle is not recorded
        first = (await rollback(client)).json()
        assert (first["bundle"], first["previous_bundle"], first["refused"]) == ("a", "b", None)
        assert (await rollback(client)).json()["bundle"] == "b"
        assert await ids(client) == "bah"


async def test_the_served_bundle_can_be_activated_again_after_the_link_was_moved_by_hand(
    link: BundleLink, settings: Settings, connect: "Connect"
) -> None:
    async with connect(settings) as client:
        await activate(client, "b")
        link.path.unlink()
        link.path.symlink_to("broken")
        healed = (await activate(client, "b")).json()
        assert (healed["previous_bundle"], healed["refused"], link.bundle) == ("a", None, "b")


async def test_a_bundle_refused_while_half_copied_is_served_once_it_is_complete(
    link: BundleLink, settings: Settings, connect: "Connect"
) -> None:
    model = BundleLayout(link.folder("b")).model
    graph = model.read_bytes()
    model.write_bytes(graph[:100])
    async with connect(settings) as client:
        link.move("b")
        await wait_for_refusal(client, "model.onnx: sha256")
        model.write_bytes(graph)
        await wait_for(client, bundle="b", refused=None)
        assert await ids(client) == "bah"


async def test_a_folder_exported_again_is_served_again_but_cannot_be_activated(
    link: BundleLink, tmp_path: Path, connect: "Connect"
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(link.folder("a"), folder)
    async with connect(settings_of(folder)) as client:
        shutil.rmtree(folder)
        shutil.copytree(link.folder("b"), folder)
        await wait_for(client, model_version=version(folder), refused=None)
        assert await ids(client) == "bah"
        for response in (await activate(client, "b"), await rollback(client)):
            assert response.status_code == 409
            assert "BUNDLE_PATH=bundles/active" in response.json()["detail"]


async def test_each_variant_has_its_own_link(
    link: BundleLink, settings: Settings, connect: "Connect"
) -> None:
    other = BundleLink(link.path.with_name("candidate"))
    other.move("a")
    chosen = {"variants": f"one={link.path}, two={other.path}"}
    async with connect(settings.model_copy(update=chosen)) as client:
        assert (await activate(client, "b", variant="two")).json()["variant"] == "two"
        variants = (await client.get("/v1/model")).json()["variants"]
    assert [each["bundle"] for each in variants] == [link.bundle, other.bundle] == ["a", "b"]


async def test_a_link_that_cannot_be_moved_is_a_conflict_and_nothing_changes(
    link: BundleLink, settings: Settings, connect: "Connect"
) -> None:
    (link.path.parent / ".active.previous").mkdir()  # a folder, which no link can replace
    async with connect(settings) as client:
        response = await activate(client, "b")
        assert response.status_code == 409
        assert "cannot be moved from here (Is a directory)" in response.json()["detail"]
        assert (await ids(client), link.bundle) == ("def", "a")


@pytest.mark.parametrize("bundle", ["../a", ".", "..", "/etc", "a/b", ""])
async def test_no_folder_outside_the_bundles_can_be_named(
    bundle: str, settings: Settings, connect: "Connect"
) -> None:
    async with connect(settings) as client:
        response = await activate(client, bundle)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "bundle"


async def test_an_unknown_variant_is_not_found(settings: Settings, connect: "Connect") -> None:
    async with connect(settings) as client:
        assert (await activate(client, "b", variant="blue")).status_code == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Basic YTpi"}, 401),
        ({"Authorization": "Bearer another-key-of-someone"}, 401),
        ({"Authorization": "Bearer ä"}, 401),
    ],
)
@pytest.mark.parametrize("route", ["activate", "rollback"])
async def test_only_the_admin_changes_the_model(
    headers: dict[str, str],
    status: int,
    route: str,
    settings: Settings,
    connect: "Connect",
) -> None:
    raw_headers = {key.encode(): value.encode() for key, value in headers.items()}
    async with connect(settings) as client:
        response = await client.post(
            f"/v1/model/{route}", json={"bundle": "b"}, headers=raw_headers
        )
        assert response.status_code == status
        assert ("www-authenticate" in response.headers) == (status == 401)
        assert await ids(client) == "def"


async def test_without_an_admin_key_nobody_changes_the_model(
    settings: Settings, connect: "Connect"
) -> None:
    async with connect(settings.model_copy(update={"admin_key": None})) as client:
        response = await activate(client, "b")
    assert (response.status_code, "no ADMIN_KEY" in response.json()["detail"]) == (403, True)


async def test_added_items_are_added_to_the_next_bundle_too(
    settings: Settings, connect: "Connect"
) -> None:
    new = {"item_id": "n", "title": "N", "embedding": [0, 0, 0, 2, 0, 0, 0, 0]}
    async with connect(settings) as client:
        await activate(client, "b")
        await rollback(client)
        await client.post("/v1/items", json=new, headers=KEY)
        assert (await ids(client))[0] == "n"
        await rollback(client)
        assert (await ids(client, "bn"))[0] != "n"
        assert (await client.get("/v1/items/n")).status_code == 200


@pytest.mark.slow
async def test_fifty_swaps_under_load_fail_no_request_and_mix_no_versions(
    link: BundleLink, settings: Settings, connect: "Connect"
) -> None:
    """`a` ranks d, e, f after `c` with positive scores, `b` ranks b, a, h with negative ones."""
    versions = {name: version(link.folder(name)) for name in "ab"}
    expected = {
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
                assert pairs == expected[answer["model_version"]]
                answers[answer["model_version"]] += 1
                await anyio.sleep(0)  # in-process requests may not yield to the event loop

    async def swap(client: httpx.AsyncClient, number: int) -> None:
        assert (await activate(client, "ba"[number % 2])).status_code == 200

    async with connect(settings) as client, anyio.create_task_group() as all_:
        for number in range(8):
            all_.start_soon(load, client, number)
        async with anyio.create_task_group() as swaps:
            for number in range(50):
                swaps.start_soon(swap, client, number)
        is_done = True
    assert set(answers) == set(versions.values())
    assert min(answers.values()) > 10
