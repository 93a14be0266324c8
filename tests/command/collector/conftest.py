"""Sources of events: Redis streams as the service fills them, and a stream of NATS."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import redis

from distilled_recommender.collector.redis_source import RedisSource
from export.contract.log.events import (
    STREAM_FIELD,
    STREAMS,
    Event,
    ImpressionRecord,
    Record,
    Tombstone,
    text_of_entry,
)
from proofs.fixtures.processes.nats_server import NatsServer
from service.stores.redis_client import connect_redis
from tests.command.collector.nats_stream import NatsStreams
from tests.conftest import TIMEOUT_SECONDS, RedisCluster, RedisServer
from training.events.log_folder import LogFolder
from training.events.reading import read_events

T = TypeVar("T")

PATIENCE_SECONDS = TIMEOUT_SECONDS


def click(session_ref: str, number: int, **fields: Any) -> Event:
    """The event with this number of a session; it is also its time in ms."""
    event = Event(
        1, f"{session_ref}-{number}", "default", session_ref, "click", "a", number, number
    )
    return event._replace(**fields)


def shown(session_ref: str | None, recommendation_id: str, at: int = 1) -> ImpressionRecord:
    return ImpressionRecord(
        1, recommendation_id, "default", session_ref, at, ["a"], "main", "v", "student", False
    )


def erased(at: int, session_ref: str | None = None, user_ref: str | None = None) -> Tombstone:
    return Tombstone(1, "default", session_ref, user_ref, at)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def ids(log: LogFolder) -> list[str]:
    """The event ids of a log, in its order."""
    found: list[str] = read_events(log)["event_id"].to_pylist()
    return found


class Streams:
    """The streams of a Redis, as the service fills them."""

    def __init__(self, server: RedisServer | RedisCluster) -> None:
        self.server = server
        kind: Any = redis.RedisCluster if server.is_cluster else redis.Redis
        self.client: Any = kind.from_url(server.url, decode_responses=True)

    def add(self, *records: Record, stream: int = 0) -> None:
        """Appends an entry."""
        self.client.xadd(STREAMS[stream], {STREAM_FIELD: text_of_entry(records)})

    def source(self, claim_seconds: float = 60.0) -> RedisSource:
        """A source with a client of its own, to be used in one event loop."""
        client = connect_redis(
            self.server.url,
            timeout_seconds=TIMEOUT_SECONDS,
            max_connections=4,
            is_cluster=self.server.is_cluster,
        )
        return RedisSource(client, claim_seconds)

    def lengths(self) -> tuple[int, int]:
        """Numbers of entries and of unacknowledged entries in all streams."""
        held = [each for each in STREAMS if self.client.exists(each)]
        groups = [group for each in held for group in self.client.xinfo_groups(each)]
        entries = sum(self.client.xlen(each) for each in held)
        return entries, sum(group["pending"] for group in groups)


Entries = Streams | NatsStreams


def until(condition: Callable[[], bool], pause_seconds: float = 0.1) -> None:
    """Waits for a condition."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(pause_seconds)


@pytest.fixture(params=["redis_server", "redis_cluster"])
def streams(request: pytest.FixtureRequest) -> Iterator[Streams]:
    """The streams of a single Redis, and of a cluster."""
    filled = Streams(request.getfixturevalue(request.param))
    yield filled
    filled.client.close()


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    server = started_nats(tmp_path_factory.mktemp("nats"))
    yield server
    server.kill()


def started_nats(folder: Path, *options: str) -> NatsServer:
    """A server with its streams in `folder`; skips the test if there is no such program."""
    try:
        return NatsServer(folder, *options)
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture
def nats_streams(nats_server: NatsServer) -> NatsStreams:
    """A stream of NATS without messages."""
    return NatsStreams(nats_server)


@pytest.fixture(params=["redis_server", "redis_cluster", "nats_streams"])
def entries(request: pytest.FixtureRequest) -> Iterator[Entries]:
    """Entries of each kind of source that several collectors share."""
    found = request.getfixturevalue(request.param)
    filled = found if isinstance(found, NatsStreams) else Streams(found)
    yield filled
    if isinstance(filled, Streams):
        filled.client.close()


@pytest.fixture
def log(tmp_path: Path) -> LogFolder:
    return LogFolder(str(tmp_path / "log"))
