"""Metrics are read beside the event loop, for all callers together; those of keys are not open."""

import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector

from service.settings import Settings
from service.telemetry.worker_metrics import FOLDER_VARIABLE
from tests.service.conftest import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.service.conftest import Connect

pytestmark = pytest.mark.anyio

KEY = "3f2a"
LIGHT_REQUESTS = 8
SCRAPES = 20


@pytest.fixture
async def client(
    bundle_path: Path, connect: "Connect", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    """A worker among several; one of them has ended and has counted two requests of a key."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    counted: Any = MmapedDict(str(tmp_path / "counter_1.db"))  # type: ignore[no-untyped-call]
    name, labels = "recommender_key_requests", {"key": KEY, "outcome": "answered"}
    key = mmap_key(name, f"{name}_total", list(labels), list(labels.values()), "Requests.")
    counted.write_value(key, 2.0, 0.0)
    counted.close()
    settings = Settings(bundle_path=bundle_path, light_requests=LIGHT_REQUESTS)
    async with connect(settings) as client:
        yield client


class HeldReadings:
    """Readings of all workers' metrics that end only when a test lets them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = 0
        self.may_end = threading.Event()
        self.were_let = True
        collect: Any = MultiProcessCollector.collect

        def collect_later(collector: MultiProcessCollector) -> Any:
            self.begun += 1
            self.were_let &= self.may_end.wait(PATIENCE_SECONDS)
            return collect(collector)

        monkeypatch.setattr(MultiProcessCollector, "collect", collect_later)

    async def until_begun(self) -> None:
        with anyio.fail_after(PATIENCE_SECONDS):
            while not self.begun:
                await anyio.sleep(0.001)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> HeldReadings:
    return HeldReadings(monkeypatch)


@pytest.mark.parametrize("path", ["/metrics", "/v1/operations"])
async def test_requests_are_answered_while_metrics_are_read(
    client: httpx.AsyncClient, held: HeldReadings, path: str
) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.get, path)
        await held.until_begun()
        assert (await client.get("/v1/items/a")).is_success
        held.may_end.set()
    assert held.were_let


async def test_many_scrapes_at_once_share_a_reading_and_take_no_places_of_light_requests(
    client: httpx.AsyncClient, held: HeldReadings
) -> None:
    transport: Any = client._transport
    admission = transport.app.state.runtime.admission
    async with anyio.create_task_group() as tasks:
        for _ in range(SCRAPES):
            tasks.start_soon(client.get, "/metrics")
        await held.until_begun()
        await anyio.wait_all_tasks_blocked()
        assert admission.refusal(SCRAPES + 1, b"GET", b"/v1/items/a", []) is None
        assert admission.refusal(SCRAPES + LIGHT_REQUESTS, b"GET", b"/v1/items/a", [])
        held.may_end.set()
    assert held.were_let
    assert held.begun <= 2  # a scrape that comes late is in a second reading


async def test_metrics_of_keys_are_for_operators_only(client: httpx.AsyncClient) -> None:
    text = (await client.get("/metrics")).text
    assert "recommender_key_requests" not in text
    assert KEY not in text
    samples = (await client.get("/v1/operations")).json()["samples"]
    labels = {"key": KEY, "outcome": "answered"}
    assert {"name": "recommender_key_requests_total", "labels": labels, "value": 2.0} in samples
