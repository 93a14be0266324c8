"""A service that writes an event log: on disk, in Redis, and in a cluster."""

import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pyarrow as pa
import pytest
import redis

from export.contract.log.events import (
    STREAM_FIELD,
    STREAMS,
    Entry,
    Event,
    ImpressionRecord,
    Record,
    entry_of,
    records_of,
    sequence_of,
)
from export.contract.log.segments import read_segment
from export.contract.log.worker_folders import complete_segments, release, take_orphans
from service.settings import Settings
from service.stores.session_refs import session_ref
from tests.conftest import RedisCluster, RedisServer
from training.events.erasure import deadlines_of, is_erased, with_sessions_of_users
from training.events.layout import Kind
from training.events.records import tables_by_partition
from training.events.schema import SCHEMAS

if TYPE_CHECKING:
    from tests.service.conftest import Connect

SECRET = secrets.token_hex(32)
EVENTS = "/v1/sessions/ann/events"
KINDS: tuple[Kind, ...] = ("tombstone", "event", "impression")
REF = session_ref(SECRET, "default", "ann")


class Log:
    """An event log, the settings of a service that writes it, and its records."""

    def __init__(self, folder: Path, server: RedisServer | RedisCluster | None) -> None:
        self.settings: dict[str, Any] = {
            "event_log": "on",
            "event_log_path": folder,
            "session_secret": SECRET,
        }
        self.is_on_disk = server is None
        self._folder = folder
        if server is not None:
            self.settings |= {"redis_url": server.url, "redis_cluster": server.is_cluster}

    def records(self) -> list[Record]:
        """All records; the service must have ended."""
        if self.is_on_disk:
            return self._on_disk()
        kind = redis.RedisCluster if self.settings["redis_cluster"] else redis.Redis
        with kind.from_url(self.settings["redis_url"], decode_responses=True) as client:
            entries = [entry for stream in STREAMS for entry in client.xrange(stream)]
        found = [Entry(sequence_of(number), fields[STREAM_FIELD]) for number, fields in entries]
        return [record for entry in found for record in records_of(entry)]

    def _on_disk(self) -> list[Record]:
        taken = take_orphans(self._folder)
        paths = complete_segments(self._folder, taken)
        contents = [content for path in paths for content in read_segment(path)[0]]
        release(taken)
        return [record for content in contents for record in records_of(entry_of(content))]

    def events(self) -> list[Event]:
        return [each for each in self.records() if isinstance(each, Event)]

    def impressions(self) -> list[ImpressionRecord]:
        return [each for each in self.records() if isinstance(each, ImpressionRecord)]


def left_of(records: Sequence[Record]) -> list[Event | ImpressionRecord]:
    """The records that training reads of a log with `records`: those that no tombstone erases."""
    tables = tables_by_partition(records)
    tombstones, events, impressions = (_of_kind(tables, kind) for kind in KINDS)
    deadlines = with_sessions_of_users(deadlines_of(tombstones), events)
    of_events = ~is_erased("event", events, deadlines)
    of_impressions = ~is_erased("impression", impressions, deadlines)
    return [
        *(Event(**row) for row in events.filter(of_events).to_pylist()),
        *(ImpressionRecord(**row) for row in impressions.filter(of_impressions).to_pylist()),
    ]


def _of_kind(tables: Mapping[tuple[Kind, int], pa.Table], kind: Kind) -> pa.Table:
    of_kind = [table for (of_table, _), table in tables.items() if of_table == kind]
    return pa.concat_tables([SCHEMAS[kind].empty_table(), *of_kind])


@pytest.fixture(params=["disk", "redis", "cluster"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Log:
    servers = {"redis": "redis_server", "cluster": "redis_cluster"}
    name = servers.get(request.param)
    return Log(tmp_path / "log", request.getfixturevalue(name) if name else None)


@pytest.fixture
def serve(log: Log, bundle_path: Path, connect: "Connect") -> Callable[..., Any]:
    @asynccontextmanager
    async def serve(**more: Any) -> AsyncIterator[httpx.AsyncClient]:
        settings = {"bundle_path": bundle_path, **log.settings, **more}
        async with connect(Settings.model_validate(settings)) as client:
            yield client

    return serve


async def post(client: httpx.AsyncClient, item_id: str, query: str = "", **more: Any) -> Any:
    response = await client.post(f"{EVENTS}{query}", json={"item_id": item_id, **more})
    assert response.status_code == 200, response.text
    return response.json()
