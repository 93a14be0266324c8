"""Makes the requests of the proof: light ones, and the most expensive valid ones of each kind.

It also serves a substitute for the teacher, which requests of the kind `compare` need.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.load.connection import post

LIGHT = "light"
KINDS = ("batch", "explain", "filters", "compare", LIGHT)
_RANKED = 200  # items in an answer of the teacher
_MAX_VALUES = 64  # of a filter on one attribute
_REQUESTS = 50  # different ones of each kind
_TEACHER_SECONDS = 0.02
HEALTH = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"


def requests_of(bundle: Path) -> Mapping[str, Sequence[bytes]]:
    """Makes HTTP requests about the items of a bundle, by kind.

    Those of the kind `LIGHT` ask for ten recommendations, without filters.
    """
    items = _items(bundle)
    ids = [each["item_id"] for each in items]
    values = {name: value for each in items for name, value in each["attributes"].items()}
    draw = _draw()

    def histories(length: int) -> list[list[str]]:
        return [draw.sample(ids, min(length, len(ids))) for _ in range(_REQUESTS)]

    unknown = [f"no such value {number}" for number in range(_MAX_VALUES)]
    allow = {name: [*values[name], *unknown][:_MAX_VALUES] for name in list(values)[:16]}
    filters = {"allow": allow, "deny": dict.fromkeys(allow, unknown)}
    path = "/v1/recommendations"
    batches = [histories(50)[:_REQUESTS] + histories(50)[:14] for _ in range(4)]
    bodies: Mapping[str, tuple[str, Sequence[object]]] = {
        LIGHT: (path, [{"history": each, "k": 10} for each in histories(20)]),
        "batch": (
            f"{path}/batch",
            [{"requests": [{"history": each, "k": 100} for each in batch]} for batch in batches],
        ),
        "explain": (path, [{"history": h, "k": 100, "explain": True} for h in histories(50)]),
        "filters": (path, [{"history": h, "k": 100, **filters} for h in histories(1000)]),
        "compare": (
            "/v1/compare",
            [{"history": h, "k": 100, **filters} for h in histories(1000)],
        ),
    }
    return {
        kind: [post(path, json.dumps(body).encode()) for body in of_kind]
        for kind, (path, of_kind) in bodies.items()
    }


def _items(bundle: Path) -> list[dict[str, Any]]:
    lines = (bundle / "items.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _draw() -> random.Random:
    return random.Random(1)  # noqa: S311 - no secret


@asynccontextmanager
async def teaching(bundle: Path, first: Sequence[str] = ()) -> AsyncIterator[int]:
    """Serves a substitute for the teacher, which answers after 20 ms; yields its port.

    It always ranks the items `first`, then random items of the bundle.
    """
    drawn = _draw().sample([each["item_id"] for each in _items(bundle)], _RANKED)
    item_ids = [*dict.fromkeys([*first, *drawn])][:_RANKED]
    ranking = {"item_ids": item_ids, "distances": list(range(len(item_ids)))}
    body = json.dumps({"teacher_version": "proof", **ranking}).encode()
    head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "
    answer = f"{head}{len(body)}\r\n\r\n".encode() + body

    async def answer_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                sent = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = sent.partition(b"content-length:")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length or 0))
                await asyncio.sleep(_TEACHER_SECONDS)
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer_all, "127.0.0.1", 0, limit=1 << 20)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
