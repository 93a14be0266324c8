"""Requests that wait for a store leave light requests their places, each of them one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from service.http.connections import Headers
from service.settings import Settings
from service.stores.counts.memory import MemoryCountStore
from service.stores.counts.protocol import CountKey, Counts
from service.stores.history.memory import InMemoryHistoryStore
from service.stores.history.protocol import Event, Retention, Session
from tests.service.api.routes.catalog.runtime import runtime_of
from tests.service.waiting import until

if TYPE_CHECKING:
    from tests.service.conftest import Connect

pytestmark = pytest.mark.anyio

LIGHT: tuple[bytes, bytes, Headers] = (b"POST", b"/v1/recommendations", [])
EVENTS = {"events": [{"session_id": f"s{n}", "item_id": "a", "user_id": "ann"} for n in range(16)]}
QUERIES = {"requests": [{"session_id": f"s{n}", "k": 1} for n in range(16)]}


class HeldStore(InMemoryHistoryStore):
    """A store in memory that counts the calls about sessions, and can hold them up."""

    def __init__(self) -> None:
        super().__init__(Retention(10, 60, 60), max_sessions=100)
        self.answers, self.held = asyncio.Event(), 0
        self.answers.set()

    async def append(self, session: Session, event: Event) -> Sequence[str]:
        await self._hold()
        return await super().append(session, event)

    async def read(self, session: Session) -> Sequence[str]:
        await self._hold()
        return await super().read(session)

    async def forget(self, session: Session, tombstones: Sequence[str] = ()) -> None:
        await self._hold()
        await super().forget(session, tombstones)

    async def _hold(self) -> None:
        self.held += not self.answers.is_set()
        await self.answers.wait()


class HeldCounts(MemoryCountStore):
    """A store of counts that never answers."""

    async def read(self, key: CountKey) -> Counts:
        await asyncio.Event().wait()
        return await super().read(key)


@pytest.fixture
async def client(
    bundle_path: Path, tmp_path: Path, connect: "Connect"
) -> AsyncIterator[httpx.AsyncClient]:
    log = {"event_log": "on", "event_log_path": tmp_path / "log"}
    settings = Settings.model_validate({"bundle_path": bundle_path, "light_requests": 4, **log})
    async with connect(settings) as client:
        yield client


@pytest.fixture
def store(client: httpx.AsyncClient) -> HeldStore:
    store = HeldStore()
    runtime_of(client).history._store = store
    return store


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/events", EVENTS),
        ("POST", "/v1/recommendations/batch", QUERIES),
        ("DELETE", "/v1/users/ann", None),
    ],
)
async def test_a_request_with_16_calls_of_the_store_waits_as_one(
    client: httpx.AsyncClient, store: HeldStore, method: str, path: str, body: Any
) -> None:
    await client.post("/v1/events", json=EVENTS)
    store.answers.clear()
    asked = asyncio.create_task(client.request(method, path, json=body))
    await until(lambda: store.held == 16)
    admission = runtime_of(client).admission
    assert admission.refusal(1 + 3, *LIGHT) is None
    assert admission.refusal(1 + 4, *LIGHT)
    store.answers.set()
    assert (await asked).is_success


async def test_more_requests_with_many_events_than_the_bound_are_refused_and_store_nothing(
    client: httpx.AsyncClient, store: HeldStore
) -> None:
    storing = runtime_of(client).admission.storing
    places = [storing.enter() for _ in range(31)]
    store.answers.clear()
    last = asyncio.create_task(client.post("/v1/events", json=EVENTS))
    await until(lambda: store.held == 16)
    refused = await client.post("/v1/events", content=b"not parsed")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    store.answers.set()
    assert (await last).is_success
    assert storing.requests == len(places)


async def test_requests_that_wait_for_the_counts_of_a_window_leave_light_requests_their_places(
    client: httpx.AsyncClient,
) -> None:
    runtime = runtime_of(client)
    popularity, admission = runtime.popularity, runtime.admission
    assert popularity is not None
    popularity._reader._store = HeldCounts(10)
    asked = [asyncio.create_task(client.get("/v1/popular?window=1h")) for _ in range(5)]
    await until(lambda: popularity.waiting == 5)
    assert admission.refusal(5 + 3, *LIGHT) is None
    assert admission.refusal(5 + 4, *LIGHT)
    for each in asked:
        each.cancel()
