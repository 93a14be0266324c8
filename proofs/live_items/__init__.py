"""Proves that live items reach every route of every worker, and that many of them disturb nobody.

A service of two workers on a Redis has one core. The load generator, which sends light requests at
a rate, has the other core. Then:

1. Popular items of a real bundle are hidden, by one request each or in bulk. Every route that can
   show an item is asked of each worker for a while; then after a restart, and after a swap.
2. Changes of all items of a large bundle with random weights are sent in bulk, one request after
   another, beside the light requests. The last changes add items.

python -m proofs live_items [--changes N] [--rate N] [--hidden N] [--bundle FOLDER] [--items N]
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
from proofs.fuzz import EXAMPLE
from proofs.live_items.bulk import bulk_under_load
from proofs.live_items.bundle import make_bundle, published
from proofs.live_items.hiding import hiding
from proofs.live_items.service import Service
from proofs.overload.requests import teaching
from proofs.overload.stage import no_garbage_collection
from proofs.record import Figure

ADDED_SHARE = 0.02
"""Share of the changes that add an item."""

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


async def _hide(bundle: Path, rate: float, count: int, seconds: float) -> list[Figure]:
    async with _service(bundle, rate, 2 * count) as (service, popular):
        return await hiding(service, popular, count, seconds)


async def _change(bundle: Path, rate: float, changes: int) -> list[Figure]:
    async with _service(bundle, rate, 1) as (service, _):
        return await bulk_under_load(service, changes, round(ADDED_SHARE * changes))


def prove(
    *,
    changes: Annotated[int, Parameter(help="Changes that are sent in bulk.")] = 100_000,
    rate: Annotated[float, Parameter(help="Light requests a second.")] = 1_000,
    hidden: Annotated[int, Parameter(help="Items that are hidden.")] = 10,
    watched_seconds: Annotated[float, Parameter(help="Time to watch a hidden item.")] = 1.5,
    bundle: Annotated[Path, Parameter(help="Bundle whose items are hidden.")] = EXAMPLE,
    items: Annotated[int, Parameter(help="Items of the changed bundle; 0: that bundle.")] = 100_000,
) -> Iterator[Figure]:
    """Hide items and change many items in bulk, under load."""
    with (
        TemporaryDirectory() as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,  # for its speed
        no_garbage_collection(),
    ):
        if hidden:
            yield from runner.run(_hide(bundle, rate, hidden, watched_seconds))
        if changes:
            large = make_bundle(Path(folder) / "bundle", items) if items else bundle
            yield from runner.run(_change(large, rate, changes))
