"""Sources of the event log as the service writes them: Redis streams, and segments on disk."""

import asyncio
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import redis

from distilled_recommender.collector.redis_source import RedisSource
from export.contract.log.events import (
    STREAM_FIELD,
    STREAMS,
    Event,
    Impression,
    Record,
    Tombstone,
    text_of_entry,
)
from service.stores.redis_client import connect_redis
from tests.conftest import RedisCluster, RedisServer
from training.events.log_folder import LogFolder
from training.events.reading import read_events

T = TypeVar("T")


def click(session_ref: str, number: int, **fields: Any) -> Event:
    """The event with this number of a session; it is also its time in ms."""
    event = Event(
        1, f"{session_ref}-{number}", "default", session_ref, "click", "a", number, number
    )
    return event._replace(**fields)


def shown(session_ref: str | None, recommendation_id: str, at: int = 1) -> Impression:
    return Impression(
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
            timeout_seconds=20,
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


@pytest.fixture(params=["redis_server", "redis_cluster"])
def streams(request: pytest.FixtureRequest) -> Iterator[Streams]:
    """The streams of a single Redis, and of a cluster."""
    filled = Streams(request.getfixturevalue(request.param))
    yield filled
    filled.client.close()


@pytest.fixture
def log(tmp_path: Path) -> LogFolder:
    return LogFolder(str(tmp_path / "log"))
