"""A teacher on the ring a … h that walks it backwards: after `c` come b, a, h, g, f, e, d."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any

import anyio
import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Response

from service.teacher.cache import RecentAnswers
from service.teacher.client import TeacherClient
from service.teacher.slow_path import SlowPath
from tests.service.conftest import PATIENCE_SECONDS

RING = "abcdefgh"
PAUSE_SECONDS = 5


class RingTeacher:
    """A teacher with the API of `training.teacher.live.server`; tests make it fail."""

    def __init__(self) -> None:
        self.version = "1"
        self.asked: list[Any] = []
        self.failure: Response | None = None
        self.writes: str | None = None
        self.free = anyio.Event()
        self.free.set()
        self.app = FastAPI()
        self.app.post("/recommendations")(self._recommend)
        self.app.post("/embeddings")(self._embed)

    async def _recommend(self, query: dict[str, Any]) -> Any:  # a Response or its content
        self.asked.append(query)
        await self.free.wait()
        if self.failure:
            return self.failure
        seen = query["history"] if query["mask_seen"] else []
        item_ids = walk_back(query["history"], {*seen, *query["exclude"]})[: query["k"]]
        distances = [place / 10 for place in range(len(item_ids))]
        return {
            "teacher_version": self.version,
            "item_ids": item_ids,
            "distances": distances,
            "generated_text": self.writes,
        }

    async def _embed(self, query: dict[str, Any]) -> Any:
        self.asked.append(query)
        if self.failure:
            return self.failure
        embeddings = [similar_to(title) for title in query["titles"]]
        return {"teacher_version": self.version, "embeddings": embeddings}


def similar_to(title: str) -> list[float]:
    """The embedding of an item that is similar to the items whose letters `title` contains."""
    return [float(item_id in title) for item_id in RING]


def walk_back(history: Sequence[str], forbidden: Collection[str]) -> list[str]:
    newest = RING.index(history[-1])
    steps = [RING[newest - step] for step in range(1, len(RING) + 1)]
    return [item_id for item_id in steps if item_id not in forbidden]


@pytest.fixture
async def teacher_url(ring_teacher: RingTeacher) -> AsyncIterator[str]:
    """The address of the running teacher."""
    server = uvicorn.Server(uvicorn.Config(ring_teacher.app, port=0, log_level="error"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await anyio.sleep(0.001)
    (address,) = [listener.getsockname() for each in server.servers for listener in each.sockets]
    yield f"http://{address[0]}:{address[1]}"
    ring_teacher.free.set()  # releases requests that still wait
    server.should_exit = True
    await serving


@pytest.fixture
async def ring_teacher() -> RingTeacher:
    return RingTeacher()


@pytest.fixture
def time() -> list[float]:
    """The time of the slow path's clock in seconds, which tests change."""
    return [0.0]


@pytest.fixture
async def teacher_client(ring_teacher: RingTeacher) -> AsyncIterator[TeacherClient]:
    """A client that sends two requests at once."""
    client = TeacherClient(
        "http://teacher",
        deadline_seconds=PATIENCE_SECONDS,
        concurrency=2,
        transport=httpx.ASGITransport(ring_teacher.app),
    )
    yield client
    await client.close()


@pytest.fixture
def slow_path(teacher_client: TeacherClient, time: list[float]) -> SlowPath:
    """A slow path with a cache of ten answers for a minute."""

    def clock() -> float:
        return time[0]

    return SlowPath(teacher_client, RecentAnswers(10, 60, clock), PAUSE_SECONDS, clock)
