"""Services that follow an address: each bundle that is published there, from a store like S3."""

import hashlib
import json
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest
from pydantic import ValidationError

from export.contract.addresses.daemon_threads import in_daemon_thread
from export.contract.addresses.opening import open_store
from export.contract.addresses.publishing import publish_at, roll_back_at
from export.contract.bundle import BundleError, load_bundle
from service.bundles import mirrors
from service.settings import Settings
from tests.service.bundles.test_hot_swap import ADMIN_KEY, KEY, ids, wait_for, wait_for_refusal
from tests.service.conftest import PATIENCE_SECONDS, served

if TYPE_CHECKING:
    from tests.conftest import S3
    from tests.service.conftest import Connect

SECONDS_OF_A_HANGING_READ = 40

pytestmark = pytest.mark.anyio


@pytest.fixture
def address(s3: "S3") -> str:
    return f"{s3.new_bucket()}/shop"


@pytest.fixture
def bundles(save_bundle_with: Callable[..., Path]) -> dict[str, Path]:
    """Bundle `a`, `b`, which ranks backwards, and one whose check fails."""
    scales = {"a": 1, "b": -1, "broken": float("nan")}
    return {name: save_bundle_with(name=name, scale=scale) for name, scale in scales.items()}


@pytest.fixture
def settings(address: str, tmp_path: Path) -> Settings:
    return Settings.model_validate(
        {
            "bundle": address,
            "bundle_cache_path": tmp_path / "cache",
            "bundles_poll_seconds": 0.02,
            "items_path": tmp_path / "items.jsonl",
            "admin_key": ADMIN_KEY,
        }
    )


def version(folder: Path) -> str:
    return load_bundle(folder).manifest.model_version


async def test_a_service_follows_what_is_published_and_refuses_what_is_damaged(
    address: str, bundles: dict[str, Path], settings: Settings, connect: "Connect", s3: "S3"
) -> None:
    store = open_store(address)
    publish_at(store, bundles["a"])
    async with connect(settings) as client:
        assert await ids(client) == "def"
        publish_at(store, bundles["b"])
        await wait_for(client, bundle=version(bundles["b"]), refused=None)
        assert await ids(client) == "bah"

        publish_at(store, bundles["broken"])
        await wait_for_refusal(client, "0 items with a finite score")
        roll_back_at(store)
        await wait_for(client, bundle=version(bundles["b"]), refused=None)

        damage(s3, address, bundles["a"], settings)
        roll_back_to(address, bundles["a"], s3)
        await wait_for_refusal(client, f"{version(bundles['a'])}/items.jsonl: sha256 is")
        assert await ids(client) == "bah"
        metrics = (await client.get("/metrics")).text
        assert 'recommender_bundle_refused{variant="default"} 1.0' in metrics


def damage(s3: "S3", address: str, bundle: Path, settings: Settings) -> None:
    """Changes an object of a published bundle, and removes its copy from the cache."""
    s3.write(f"{address}/{version(bundle)}/items.jsonl", b"changed")
    copy = settings.served_variants[0].path.with_name(version(bundle))
    (copy / "manifest.json").unlink()


def roll_back_to(address: str, bundle: Path, s3: "S3") -> None:
    """Makes a published bundle active again without uploading it."""
    name = f"{address}/active.json"
    pointer = json.loads(s3.read(name))
    manifest = (bundle / "manifest.json").read_bytes()
    pointer["active"] = {
        "bundle": version(bundle),
        "manifest_sha256": hashlib.sha256(manifest).hexdigest(),
        "signature": None,
    }
    s3.write(name, json.dumps(pointer).encode())


async def test_a_service_keeps_its_bundle_while_the_store_is_lost_and_starts_from_its_copy(
    address: str,
    bundles: dict[str, Path],
    settings: Settings,
    connect: "Connect",
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    publish_at(open_store(address), bundles["a"])
    async with connect(settings) as client:
        assert await ids(client) == "def"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with caplog.at_level(logging.WARNING, "service.bundles.mirrors"):
        mirrors.copy_active(mirrors.mirrors_of(settings))  # as the program, before its workers
        async with connect(settings) as client:
            assert await ids(client) == "def"
            with anyio.fail_after(PATIENCE_SECONDS):
                while 'bundle_store_lost{variant="default"} 1.0' not in await metrics(client):
                    await anyio.sleep(0.05)
            assert (await client.get("/v1/model")).json()["variants"][0]["refused"] is None
    assert "serving the copy of" in caplog.text
    assert caplog.text.count("keeps its bundle") == 1


@pytest.fixture
def hang(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Returns a function that replaces the store by a server that accepts and never answers."""
    seconds = SECONDS_OF_A_HANGING_READ // 2
    monkeypatch.setattr("export.contract.addresses.cloud_store._REQUEST_SECONDS", seconds)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        yield lambda: monkeypatch.setenv("AWS_ENDPOINT_URL", url)


async def test_a_service_starts_from_its_copy_while_the_store_hangs(
    address: str,
    bundles: dict[str, Path],
    settings: Settings,
    connect: "Connect",
    hang: Callable[[], None],
) -> None:
    publish_at(open_store(address), bundles["a"])
    mirrors.copy_active(mirrors.mirrors_of(settings))
    hang()
    with anyio.fail_after(SECONDS_OF_A_HANGING_READ / 2):
        async with connect(settings) as client:
            assert await ids(client) == "def"


@pytest.mark.parametrize("is_damaged", [False, True])
def test_the_program_waits_for_hanging_stores_side_by_side_and_only_a_while_if_copies_are_whole(
    address: str,
    bundles: dict[str, Path],
    tmp_path: Path,
    hang: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    is_damaged: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = Settings(
        variants=f"a={address}/a, b={address}/b", bundle_cache_path=tmp_path / "cache"
    )
    for name in "ab":
        publish_at(open_store(f"{address}/{name}"), bundles[name])
    mirrors.copy_active(mirrors.mirrors_of(settings))
    hang()
    monkeypatch.setattr(mirrors, "_SECONDS_AT_START", 0.2, raising=False)
    if is_damaged:
        (settings.served_variants[0].path / "items.jsonl").write_bytes(b"damaged")
    copying = in_daemon_thread(lambda: mirrors.copy_active(mirrors.mirrors_of(settings)))
    if is_damaged:
        with pytest.raises(TimeoutError):
            copying.result(1)
    else:
        copying.result(SECONDS_OF_A_HANGING_READ / 2)
        assert caplog.text.count("is not copied after 0.2 s") == 2


async def test_a_folder_that_is_lost_at_the_start_is_a_lost_store_and_the_copy_is_served(
    bundles: dict[str, Path], settings: Settings, connect: "Connect", tmp_path: Path
) -> None:
    settings = settings.model_copy(
        update={"bundle": f"file://{tmp_path}/store", "bundles_poll_seconds": 600}
    )
    publish_at(open_store(f"file://{tmp_path}/store"), bundles["a"])
    mirrors.copy_active(mirrors.mirrors_of(settings))
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    (tmp_path / "store").write_bytes(b"")
    async with connect(settings) as client:
        assert await ids(client) == "def"
        with anyio.fail_after(PATIENCE_SECONDS):
            while 'bundle_store_lost{variant="default"} 1.0' not in await metrics(client):
                await anyio.sleep(0.05)


async def metrics(client: httpx.AsyncClient) -> str:
    return (await client.get("/metrics")).text


async def test_activation_and_rollback_of_an_address_are_done_where_it_is(
    address: str, bundles: dict[str, Path], settings: Settings, connect: "Connect"
) -> None:
    publish_at(open_store(address), bundles["a"])
    async with connect(settings) as client:
        for route, body in (("activate", {"bundle": "b"}), ("rollback", {})):
            answer = await client.post(f"/v1/model/{route}", json=body, headers=KEY)
            assert answer.status_code == 409
            assert f"follows {address}" in answer.json()["detail"]


def test_two_replicas_follow_an_address_under_load_and_no_request_fails(
    address: str, bundles: dict[str, Path], tmp_path: Path
) -> None:
    store = open_store(address)
    publish_at(store, bundles["a"])
    with ExitStack() as running:
        urls = [
            running.enter_context(
                served(
                    bundle=address,
                    bundle_cache_path=tmp_path / f"cache{number}",
                    bundles_poll_seconds=0.1,
                    items_path=tmp_path / f"items{number}.jsonl",
                )
            )
            for number in range(2)
        ]
        stop = threading.Event()
        with ThreadPoolExecutor(2) as pool:
            load = [pool.submit(ask_until, stop, url) for url in urls]
            for name in ("b", "a", "b"):
                publish_at(store, bundles[name])
                for url in urls:
                    wait_until_served(url, version(bundles[name]))
            stop.set()
            answers = sum((each.result() for each in load), Counter())
    assert answers.keys() == {(200, "def"), (200, "bah")}


def ask_until(stop: threading.Event, url: str) -> "Counter[tuple[int, str]]":
    """Asks one request after another, at most 20,000; counts status and ranked items."""
    found: Counter[tuple[int, str]] = Counter()
    with httpx.Client(timeout=PATIENCE_SECONDS) as client:
        for _ in range(20_000):
            answer = client.post(f"{url}/v1/recommendations", json={"history": ["c"], "k": 3})
            items = answer.json().get("items", ())
            found[answer.status_code, "".join(each["item_id"] for each in items)] += 1
            if stop.wait(0.005):
                break
    return found


def wait_until_served(url: str, model_version: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if (
            httpx.get(f"{url}/v1/model", timeout=PATIENCE_SECONDS).json()["model_version"]
            == model_version
        ):
            return
        time.sleep(0.05)
    raise TimeoutError(model_version)


def test_a_service_whose_address_has_no_bundle_does_not_start(address: str, tmp_path: Path) -> None:
    settings = Settings(bundle=address, bundle_cache_path=tmp_path / "cache")
    with pytest.raises(BundleError, match=r"active.json: missing"):
        mirrors.copy_active(mirrors.mirrors_of(settings))


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        ({"bundle": "folder"}, "set BUNDLE_PATH to serve a folder"),
        ({"bundle": "s3://a/b", "variants": "a=s3://a/b"}, "add the address to VARIANTS"),
    ],
)
def test_settings_of_an_address_are_checked(chosen: dict[str, str], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Settings.model_validate(chosen)


def test_variants_may_have_addresses_each_with_its_place_in_the_cache() -> None:
    settings = Settings(variants="a=s3://bucket/shop:2, b=file:///mnt/shop, c=folder:3")
    a, b, c = settings.served_variants
    assert (a.address, a.weight, b.address, b.weight) == (
        "s3://bucket/shop",
        2,
        "file:///mnt/shop",
        1,
    )
    assert {a.path.parent.parent, b.path.parent.parent} == {Path("bundle-cache")}
    assert a.path.parent != b.path.parent
    assert (c.address, c.path, c.weight) == (None, Path("folder"), 3)
