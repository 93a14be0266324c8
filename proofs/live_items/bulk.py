"""Sends changes in bulk beside light requests, and measures what both take."""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx
import numpy as np

from export.contract.bundle import load_bundle
from proofs.live_items.service import ADMIN, Running, Service
from proofs.overload.load import OK, Answer
from proofs.overload.stage import p99
from proofs.record import Figure
from service.http.body_limit import MAX_BODY_BYTES
from service.ranking.student import Student

_LINES = 5_000  # of a request
_HEADERS = ADMIN | {"content-type": "application/x-ndjson"}
_QUIET_SECONDS = 4.0  # before the changes
_SEED = 0


async def bulk_under_load(service: Service, num_changes: int, num_added: int) -> list[Figure]:
    """Sends edits of items in bulk, then changes that add items; returns the figures."""
    edits = list(_edits(service, num_changes - num_added))
    additions = list(_additions(service, num_added))
    bodies = list(_bodies(edits)), list(_bodies(additions))
    failed, seconds, late, parts = 0, list[float](), 0.0, list[Sequence[Answer]]()
    async with service.running() as running:
        await asyncio.sleep(_QUIET_SECONDS)
        memory = running.resident_mib()
        quiet = running.light.answers[len(running.light.answers) // 2 :]
        for changes, of_kind in zip((edits, additions), bodies, strict=True):
            first, began = len(running.light.answers), time.perf_counter()
            failed += await _send_all(running.clients[0], of_kind)
            seconds.append(time.perf_counter() - began)
            late = max(late, await _known_everywhere_after(running, changes[-1]))
            parts.append(running.light.answers[first:])
        grown = running.resident_mib() - memory
    lost = sum(each.status != OK for part in parts for each in part)
    return [
        Figure("p99 of light requests before", "ms", p99(quiet, OK)),
        Figure("edits in bulk", "edits", len(edits)),
        Figure("items added in bulk", "items", len(additions)),
        Figure("changes that failed", "changes", failed, at_most=0),
        Figure("rate of the edits", "edits/s", len(edits) / seconds[0]),
        Figure("rate of the additions", "items/s", len(additions) / seconds[1]),
        Figure("light requests beside the edits", "requests/s", len(parts[0]) / seconds[0]),
        Figure("p99 of light requests beside the edits", "ms", p99(parts[0], OK), at_most=20),
        Figure("p99 of light requests beside the additions", "ms", p99(parts[1], OK), at_most=20),
        Figure("light requests that were not answered 200", "requests", lost, at_most=0),
        Figure("last change at every worker after its answer", "s", late, at_most=1),
        Figure("memory of the service grown", "MiB", grown),
    ]


def _edits(service: Service, number: int) -> Iterator[Mapping[str, Any]]:
    """Yields edits of the service's items in turn: title, attributes, and each 50th hidden."""
    for place in range(number):
        item = service.items[-1 - place % len(service.items)]
        yield {
            "item_id": item["item_id"],
            "title": f"{item['title']}, part {place}",
            "attributes": {"price": [str(place % 997)], "stock": ["yes" if place % 9 else "no"]},
            "hidden": place % 50 == 0,
        }


def _additions(service: Service, number: int) -> Iterator[Mapping[str, Any]]:
    """Yields new items with random embeddings, which are no longer than those of the bundle."""
    size = Student.of_bundle(load_bundle(service.link.path)).embedding_size or 1
    draws = np.random.default_rng(_SEED)
    for place in range(number):
        embedding = np.round(draws.normal(size=size) / 10, 3).tolist()
        yield {"item_id": f"new-{place}", "title": f"New item {place}", "embedding": embedding}


def _bodies(changes: Sequence[Mapping[str, Any]]) -> Iterator[bytes]:
    """Yields bodies of lines with all changes, each as long as a request may be."""
    lines: list[bytes] = []
    for change in changes:
        line = json.dumps(change).encode() + b"\n"
        if len(lines) == _LINES or sum(map(len, lines)) + len(line) > MAX_BODY_BYTES:
            yield b"".join(lines)
            lines = []
        lines.append(line)
    yield b"".join(lines)


async def _send_all(client: httpx.AsyncClient, bodies: Sequence[bytes]) -> int:
    """Sends changes, and those again for which the time was over; returns how many failed."""
    failed = 0
    for body in bodies:
        lines = body.splitlines(keepends=True)
        while lines:
            answer = await client.post("/v1/items/bulk", content=b"".join(lines), headers=_HEADERS)
            outcome = answer.raise_for_status().json()
            failed += outcome["failed"]
            lines = lines[outcome["processed"] :]
    return failed


async def _known_everywhere_after(running: Running, change: Mapping[str, Any]) -> float:
    """Returns the seconds until every worker has the title of `change`."""
    began = time.monotonic()
    for client in running.clients:
        while True:
            answer = await client.get(f"/v1/items/{change['item_id']}")
            if answer.is_success and answer.json()["title"] == change["title"]:
                break
            await asyncio.sleep(0.01)
    return time.monotonic() - began
