"""Finds out on which routes of which worker an item is shown."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx

K = 100
_ATTEMPTS = 300


class _Repeating(httpx.AsyncHTTPTransport):
    """Sends a refused request again after the seconds that `Retry-After` names, as clients do."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Returns the first answer that is not a refusal."""
        while True:
            answer = await super().handle_async_request(request)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return answer
            await answer.aread()
            await asyncio.sleep(float(answer.headers["retry-after"]))


@asynccontextmanager
async def worker_clients(port: int, workers: int) -> AsyncIterator[Sequence[httpx.AsyncClient]]:
    """Yields a client of each worker, on a connection that only this worker answers.

    The first part of a request id, which the worker makes, names the worker.

    Raises:
        RuntimeError: too many connections had the same worker.
    """
    found: dict[str, httpx.AsyncClient] = {}
    async with AsyncExitStack() as stack:
        for _ in range(_ATTEMPTS):
            client = httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}",
                transport=_Repeating(limits=httpx.Limits(max_connections=1, keepalive_expiry=None)),
                timeout=60,
            )
            stack.push_async_callback(client.aclose)
            answer = await client.get("/healthz")
            found.setdefault(answer.headers["x-request-id"].partition("-")[0], client)
            if len(found) == workers:
                yield list(found.values())
                return
        raise RuntimeError(f"{_ATTEMPTS} connections reached {len(found)} of {workers} workers")


async def showing(
    client: httpx.AsyncClient, item_id: str, title: str, near: str
) -> Mapping[str, bool]:
    """Asks every route that can show an item; returns for each whether it shows it.

    `near`: another item, after which and beside which the item was in the lists.
    """
    path, history = "/v1/recommendations", {"history": [near], "k": K}
    only = {"candidates": [item_id]}
    bodies: Mapping[str, tuple[str, Mapping[str, Any]]] = {
        "recommendations": (path, history),
        "explained": (path, history | only | {"explain": True}),
        "candidates": (path, history | only),
        "pinned": (path, history | {"pin": [{"item_id": item_id, "position": 1}]}),
        "popular": (path, {"history": [], "k": K}),
        "popular items": ("/v1/popular", {"k": K}),
        "batch": (f"{path}/batch", {"requests": [history, history | {"mask_seen": False}]}),
        "event": (f"/v1/sessions/{near}/events?k={K}", {"item_id": near}),
        "similar, filtered": (f"/v1/items/{near}/similar", {"k": K}),
        "teacher": ("/v1/teacher/recommendations", history),
        "compare": ("/v1/compare", history),
    }
    paths = {
        "session": f"/v1/sessions/{near}/recommendations?k={K}",
        "similar": f"/v1/items/{near}/similar?k={K}",
        "search": f"/v1/items?{httpx.QueryParams(query=title, limit=100)}",
        "item": f"/v1/items/{item_id}",
        "examples": "/v1/examples",
    }
    answers = {name: await client.post(at, json=body) for name, (at, body) in bodies.items()}
    answers |= {name: await client.get(at) for name, at in paths.items()}
    return {name: item_id in _items_of(answer) for name, answer in answers.items()}


def _items_of(answer: httpx.Response) -> Sequence[str]:
    """Returns the item ids in an answer; a problem has none unless its status is not 404.

    Raises:
        httpx.HTTPStatusError: a status other than 200 and 404.
    """
    if answer.status_code == httpx.codes.NOT_FOUND:
        return []
    answer.raise_for_status()
    return list(_ids_in(answer.json()))


def _ids_in(content: Any) -> Sequence[str]:
    """Returns the values of all keys `item_id` in a JSON value."""
    if isinstance(content, list):
        return [each for part in content for each in _ids_in(part)]
    if not isinstance(content, dict):
        return []
    inner = [each for part in content.values() for each in _ids_in(part)]
    return [content["item_id"], *inner] if "item_id" in content else inner


async def gone_after(
    clients: Sequence[httpx.AsyncClient], item: Sequence[str], hidden_at: float, seconds: float
) -> Sequence[float]:
    """Returns for each worker how long after `hidden_at` it showed an item at most, in seconds.

    Asks every route of every worker for `seconds`; an item counts as shown until the last of a
    worker's routes has answered. `item`: the arguments of `showing` after the
    client. `hidden_at`: time by `time.monotonic` at which the change was answered.
    """
    last = [0.0] * len(clients)
    while time.monotonic() < hidden_at + seconds:
        for place, client in enumerate(clients):
            if any((await showing(client, *item)).values()):
                last[place] = time.monotonic() - hidden_at
    return last
