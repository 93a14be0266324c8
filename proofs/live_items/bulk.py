"""Sends changes in bulk beside light requests, and measures what both take."""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx
import numpy as np

from export.contract.bundle import load_bundle
from proofs.fixtures.load.streams import OK, p99
from proofs.live_items.service import ADMIN, MAX_KNOWN_SECONDS, Running, Service
from proofs.record import Figure
from service.http.body_limit import MAX_BODY_BYTES
from service.ranking.student import Student

_LINES = 5_000  # of a request
_HEADERS = ADMIN | {"content-type": "application/x-ndjson"}
_QUIET_SECONDS = 3.0  # before the changes
_WAIT_SECONDS = 5.0  # for a change to reach every worker
_SEED = 0


async def edited_in_bulk(service: Service, number: int) -> list[Figure]:
    """Sends edits of a service's items in bulk; returns the figures."""
    edits = list(_edits(service, number))
    async with service.running() as running:
        await asyncio.sleep(_QUIET_SECONDS)
        memory = running.resident_mib()
        quiet = running.light.answers[-len(running.light.answers) // 3 :]
        figures = await _made(running, edits, "edits", len(service.items))
        grown = running.resident_mib() - memory
    return [
        Figure("p99 of light requests before the edits", "ms", p99(quiet, OK)),
        *figures,
        Figure("memory of the service grown by the edits", "MiB", grown),
    ]


async def added_in_bulk(running: Running, service: Service, number: int) -> list[Figure]:
    """Adds items in bulk to a running service; returns the figures."""
    additions = list(_additions(service, number))
    return await _made(running, additions, "additions", len(service.items))


async def _made(
    running: Running, changes: Sequence[Mapping[str, Any]], name: str, num_items: int
) -> list[Figure]:
    """Sends changes named `name` in bulk; returns the figures. `num_items`: of the bundle."""
    bodies, first, began = list(_bodies(changes)), len(running.light.answers), time.perf_counter()
    failed = await _send_all(running.clients[0], bodies)
    seconds = time.perf_counter() - began
    late = await _known_everywhere_after(running, changes[-1])
    answers = running.light.answers[first:]
    lost = sum(each.status != OK for each in answers)
    rate = len(answers) / (seconds + late)
    return [
        Figure(f"{name}: items of the bundle", "items", num_items),
        Figure(f"{name}: changes in bulk", "changes", len(changes)),
        Figure(f"{name}: rate", "changes/s", len(changes) / seconds),
        Figure(f"{name}: changes that failed", "changes", failed, at_most=0),
        Figure(f"{name}: light requests beside", "requests/s", rate),
        Figure(f"{name}: p99 of light requests", "ms", p99(answers, OK), at_most=20),
        Figure(f"{name}: light requests not answered 200", "requests", lost, at_most=0),
        Figure(
            f"{name}: last one at every worker after its answer",
            "s",
            late,
            at_most=MAX_KNOWN_SECONDS,
        ),
    ]


def _edits(service: Service, number: int) -> Iterator[Mapping[str, Any]]:
    """Yields edits of the service's items in turn: title, attributes, and each 50th hidden."""
    for place in range(number):
        item = service.items[-1 - place % len(service.items)]
        yield {
            "item_id": item["item_id"],
            "title": f"{item['title']}, part {place}",
            "attributes": {"price": [str(place % 997)], "stock": ["yes" if place % 9 else "no"]},
            "hidden": place % 50 == 1,
        }


def _additions(service: Service, number: int) -> Iterator[Mapping[str, Any]]:
    """Yields new items with random embeddings, which are no longer than those of the bundle."""
    size = Student.of_bundle(load_bundle(service.link.path)).embedding_size or 1
    draws = np.random.default_rng(_SEED)
    for place in range(number):
        embedding = np.round(draws.normal(size=size) / 10, 7).tolist()
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
    """Returns the seconds until every worker has the title of `change`, at most `_WAIT_SECONDS`."""
    began = time.monotonic()
    for client in running.clients:
        while time.monotonic() < began + _WAIT_SECONDS:
            answer = await client.get(f"/v1/items/{change['item_id']}")
            if answer.is_success and answer.json()["title"] == change["title"]:
                break
            await asyncio.sleep(0.01)
    return time.monotonic() - began
