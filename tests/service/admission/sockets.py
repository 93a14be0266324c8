"""Requests over sockets, and what the service answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn

from service.ranking.micro_batcher import MicroBatcher
from service.ranking.recommender import Query, Recommendations, Recommender
from service.runtime import Runtime
from tests.service.conftest import PATIENCE_SECONDS
from tests.service.http.test_protocol import POST, status_of

GET = b"GET %b HTTP/1.1\r\nHost: s\r\n\r\n"
WHOLE = POST + b"Content-Length: 18\r\n\r\n" + b'{"history": ["c"]}'
INCOMPLETE = POST + b"Content-Length: 9\r\n\r\n{"


async def answer_of(reader: asyncio.StreamReader) -> bytes:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_SECONDS)
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head + await reader.readexactly(length)


def runtime_of(server: uvicorn.Server) -> Runtime:
    app = server.config.loaded_app
    while not hasattr(app, "state"):
        app = app.app
    runtime: Runtime = app.state.runtime
    return runtime


@asynccontextmanager
async def working(server: uvicorn.Server, port: int, header: bytes = b"") -> AsyncIterator[None]:
    """A light request is worked on while the context is open."""

    class Held(MicroBatcher):
        async def recommend(self, recommender: Recommender, query: Query) -> Recommendations:
            begun.set()
            await over.wait()
            return await super().recommend(recommender, query)

    begun, over = asyncio.Event(), asyncio.Event()
    runtime_of(server).micro_batcher = Held()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(WHOLE.replace(b"\r\n\r\n", b"\r\n" + header + b"\r\n"))
    await asyncio.wait_for(begun.wait(), PATIENCE_SECONDS)
    yield
    over.set()
    assert status_of(await answer_of(reader)) == 200
    writer.close()
