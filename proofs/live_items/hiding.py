"""Hides items and finds out how long they are still shown, and whether they ever come back."""

import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import cycle, islice
from typing import Any

import httpx

from proofs.live_items.bulk import added_in_bulk
from proofs.live_items.bundle import NEXT
from proofs.live_items.service import ADMIN, MAX_KNOWN_SECONDS, Running, Service
from proofs.live_items.sight import K, gone_after, showing
from proofs.record import Figure

_SWAP_SECONDS = 30.0

Item = tuple[str, str, str]
"""Item id, title, and the id of an item after which it is recommended."""


async def hiding(
    service: Service,
    popular: Sequence[Mapping[str, Any]],
    count: int,
    seconds: float,
    num_added: int,
) -> list[Figure]:
    """Hides `count` of the items `popular`, then adds items; returns the figures.

    Args:
        service: the service.
        popular: popular items of its bundle, more than `count`.
        count: number of items to hide.
        seconds: time for which every route is asked for each item after it was hidden.
        num_added: number of items that are added in bulk after a restart and a swap.
    """
    async with service.running() as running:
        items = [item async for item in _visible(running.clients[0], popular)][:count]
        routes = [await showing(running.clients[0], *item) for item in items]
        asked = list(islice(cycle(range(len(running.clients))), len(items)))
        times = [
            await _shown_after(running, place, item, seconds)
            for place, item in zip(asked, items, strict=True)
        ]
        failed = sum(each.status != httpx.codes.OK for each in running.light.answers)
    async with service.running() as running:
        after_restart = await _shown(running, items)
        await _swap(running)
        after_swap = await _shown(running, items)
        added = await added_in_bulk(running, service, num_added)
    return [
        Figure("hidden items", "items", len(items), at_least=count),
        Figure("routes that showed each of them before", "", min(map(sum, _flags(routes)))),
        Figure("routes that can show an item", "", max(map(len, routes))),
        *shown_figures(asked, times),
        Figure("light requests beside that failed", "requests", failed, at_most=0),
        Figure("routes that showed one after a restart", "", after_restart, at_most=0),
        Figure("routes that showed one after a swap", "", after_swap, at_most=0),
        *added,
    ]


def _flags(routes: Sequence[Mapping[str, bool]]) -> Sequence[Sequence[bool]]:
    return [list(each.values()) for each in routes]


async def _visible(
    client: httpx.AsyncClient, popular: Sequence[Mapping[str, Any]]
) -> AsyncIterator[Item]:
    """Yields those of the items `popular` that every route shows, each with such an item before."""
    for each in popular:
        item_id, title = each["item_id"], each["title"]
        answer = (await client.get(f"/v1/items/{item_id}/similar?k={K}")).raise_for_status()
        for near in [other["item_id"] for other in answer.json()["items"]][:20]:
            shown = await showing(client, item_id, title, near)
            if all(shown.values()):
                yield item_id, title, near
                break


def shown_figures(asked: Sequence[int], times: Sequence[Sequence[float]]) -> Iterator[Figure]:
    """Yields whether a worker that was asked to hide an item still showed it, and the longest time.

    Args:
        asked: for each item, the place of the worker that was asked to hide it.
        times: for each item, the seconds for which each worker showed it.
    """
    again = sum(each[place] > 0 for place, each in zip(asked, times, strict=True))
    yield Figure("items that the worker that was asked still showed", "items", again, at_most=0)
    longest = max(map(max, times))
    name = "longest time after which a route still showed one"
    yield Figure(name, "s", longest, at_most=MAX_KNOWN_SECONDS)


async def _shown_after(running: Running, place: int, item: Item, seconds: float) -> Sequence[float]:
    """Hides an item; returns how long after the answer each worker still showed it, in seconds.

    The second of two workers hides in bulk. `place`: that of the worker that is asked.
    """
    client = running.clients[place]
    if place == 0:
        answer = await client.patch(f"/v1/items/{item[0]}", json={"hidden": True}, headers=ADMIN)
    else:
        body = {"items": [{"item_id": item[0], "hidden": True}]}
        answer = await client.post("/v1/items/bulk", json=body, headers=ADMIN)
    answer.raise_for_status()
    return await gone_after(running.clients, item, time.monotonic(), seconds)


async def _shown(running: Running, items: Sequence[Item]) -> int:
    """Returns the number of pairs of a route and a worker that show one of the hidden items."""
    answers = [await showing(client, *item) for client in running.clients for item in items]
    return sum(map(sum, _flags(answers)))


async def _swap(running: Running) -> None:
    """Activates the other bundle and waits until all workers serve it.

    Raises:
        TimeoutError: a worker serves the old one after `_SWAP_SECONDS`.
    """
    activation = {"bundle": NEXT}
    answer = await running.clients[0].post("/v1/model/activate", json=activation, headers=ADMIN)
    answer.raise_for_status()
    until = time.monotonic() + _SWAP_SECONDS
    for client in running.clients:
        while (await client.get("/v1/model")).json()["variants"][0]["bundle"] != NEXT:
            if time.monotonic() > until:
                raise TimeoutError(f"a worker does not serve {NEXT} after {_SWAP_SECONDS:g} s")
