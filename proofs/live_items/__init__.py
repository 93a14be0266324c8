"""Proves that live items reach every route of every worker, and that many of them disturb nobody.

A service of two workers on a Redis has one core. The load generator, which sends light requests at
a rate, has the other core. Then:

1. Popular items of a real bundle are hidden, by one request each or in bulk. Every route that can
   show an item is asked of each worker for a while; then after a restart, and after a swap. Then
   items are added in bulk beside the light requests.
2. Items are edited in bulk beside the light requests: those of the same bundle in turn, or those of
   a larger one with random weights.

The service waits 5 s for Redis, so that a stall of the machine degrades no answer which could show
an item.

python -m proofs live_items [--edits N] [--added N] [--rate N] [--hidden N] [--items N]
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import uvloop
from cyclopts import Parameter

from benchmarks.subjects.processes import running_redis
from proofs.fixtures.load.requests import teaching
from proofs.fixtures.load.streams import no_garbage_collection
from proofs.fixtures.places import EXAMPLE
from proofs.live_items.bulk import edited_in_bulk
from proofs.live_items.bundle import make_bundle, published
from proofs.live_items.hiding import hiding
from proofs.live_items.service import Service
from proofs.record import Figure

Popular = Sequence[Mapping[str, Any]]
"""Items as in the lines of `items.jsonl`, the most popular first."""


@asynccontextmanager
async def _service(bundle: Path, rate: float, first: int) -> AsyncIterator[tuple[Service, Popular]]:
    """Yields a service of `bundle` that is not started, and its `first` most popular items.

    Its Redis and its teacher run. `rate`: light requests a second.
    """
    lines = (bundle / "items.jsonl").read_text(encoding="utf-8").splitlines()
    items = [json.loads(line) for line in lines]
    popular = sorted(items, key=lambda each: -each["popularity"])[:first]
    with TemporaryDirectory() as folder, running_redis() as redis:
        link = published(bundle, Path(folder))
        async with teaching(bundle, [each["item_id"] for each in popular]) as teacher_port:
            yield Service(link, redis.port, teacher_port, rate, items), popular


async def _hide(bundle: Path, rate: float, count: int, seconds: float, added: int) -> list[Figure]:
    async with _service(bundle, rate, 2 * count) as (service, popular):
        return await hiding(service, popular, count, seconds, added)


async def _edit(bundle: Path, rate: float, edits: int) -> list[Figure]:
    async with _service(bundle, rate, 1) as (service, _):
        return await edited_in_bulk(service, edits)


def prove(
    *,
    edits: Annotated[int, Parameter(help="Edits that are sent in bulk.")] = 98_000,
    added: Annotated[int, Parameter(help="Items that are added in bulk.")] = 2_000,
    rate: Annotated[float, Parameter(help="Light requests a second.")] = 1_000,
    hidden: Annotated[int, Parameter(help="Items that are hidden.")] = 5,
    watched_seconds: Annotated[float, Parameter(help="Time to watch a hidden item.")] = 1.2,
    bundle: Annotated[Path, Parameter(help="Bundle whose items are hidden.")] = EXAMPLE,
    items: Annotated[int, Parameter(help="Items of the edited bundle; 0: that bundle.")] = 0,
) -> Iterator[Figure]:
    """Hide items, and edit and add many items in bulk, under load."""
    with (
        TemporaryDirectory() as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,  # for its speed
        no_garbage_collection(),
    ):
        large = make_bundle(Path(folder) / "bundle", items) if items else bundle
        yield from runner.run(_hide(bundle, rate, hidden, watched_seconds, added))
        yield from runner.run(_edit(large, rate, edits))
