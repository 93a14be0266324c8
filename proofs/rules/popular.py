"""Compares popular and trending items, by training and by events of known number."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import httpx
import numpy as np
from numpy.typing import NDArray

from proofs.rules.comparison import Comparison, asked
from proofs.rules.reference import Answer, Numbers, Reference, scores_by_events
from proofs.rules.requests import random_request

_PATH = "/v1/popular"
_WINDOW = "24h"
_HOURS_AGO = {"events": 0, "events_before": 36}  # for twelve hours, the windows have these events
_NUM_WITH_EVENTS = 400  # items, in each window
_MEAN_EVENTS = 6
_EVENTS_A_REQUEST = 500
_LOOKS = 600  # at the counts, 0.1 s apart


@dataclass
class PopularComparison(Comparison):
    """Counts of compared answers about popular items.

    Attributes:
        wrong: answers with another number of events of an item, or of all items, than was sent.
    """

    wrong: int = 0


class _Ordered(NamedTuple):
    """An order of the catalog: fields of its requests, scores, and rank of each among equals."""

    fields: Mapping[str, str]
    scores: Numbers
    ranks: NDArray[np.int64]


async def popular_items(
    client: httpx.AsyncClient, reference: Reference, random: np.random.Generator, requests: int
) -> PopularComparison:
    """Sends events, then compares the answers to `requests` random requests for popular items."""
    sent = {name: _numbers(random, len(reference.items)) for name in _HOURS_AGO}
    for name, hours in _HOURS_AGO.items():
        await _send(client, reference, sent[name], hours)
    await _until_counted(client, {name: int(each.sum()) for name, each in sent.items()})
    orders = _orders(reference, sent["events"], sent["events_before"])
    comparison = PopularComparison()
    for number in range(requests):
        fields, scores, ranks = orders[number % len(orders)]
        request = random_request(reference, random, scores, [])
        reply = await asked(client, _PATH, {**request, **fields})
        answer = partial(Answer, reference, scores=scores, ranks=ranks)
        content = comparison.compare(reference, reply, partial(answer, request))
        comparison.wrong += not _has_numbers(reference, content, sent if fields else {})
        comparison.count_bound(request, answer)
    return comparison


def _numbers(random: np.random.Generator, num_items: int) -> NDArray[np.int64]:
    """Returns a number of events for each item; most have none."""
    numbers = np.zeros(num_items, dtype=np.int64)
    chosen = random.choice(num_items, _NUM_WITH_EVENTS, replace=False)
    numbers[chosen] = random.geometric(1 / _MEAN_EVENTS, size=_NUM_WITH_EVENTS)
    return numbers


async def _send(
    client: httpx.AsyncClient, reference: Reference, numbers: NDArray[np.int64], hours_ago: int
) -> None:
    at = round((time.time() - hours_ago * 3_600) * 1_000)
    ids = [
        reference.items[row]["item_id"]
        for row in np.repeat(np.arange(len(numbers)), numbers).tolist()
    ]
    for start in range(0, len(ids), _EVENTS_A_REQUEST):
        events = [
            {
                "session_id": f"session-{place % 50}",
                "item_id": item_id,
                "timestamp": at,
                "event_id": f"{hours_ago}-{place}",  # counts once if it is sent again
            }
            for place, item_id in enumerate(ids[start : start + _EVENTS_A_REQUEST], start)
        ]
        await asked(client, "/v1/events", {"events": events})


async def _until_counted(client: httpx.AsyncClient, totals: Mapping[str, int]) -> None:
    """Waits until the windows have as many events as were sent.

    Raises:
        RuntimeError: they have not after `_LOOKS` at them.
    """
    found: Mapping[str, Any] = {}
    for _ in range(_LOOKS):  # not a time, since the machine may stop for a while
        found = (await client.get(_PATH, params={"window": _WINDOW})).raise_for_status().json()
        if all(found[name] == total for name, total in totals.items()):
            return
        await asyncio.sleep(0.1)
    raise RuntimeError(f"of {totals}, {found['events']} and {found['events_before']} are counted")


def _orders(
    reference: Reference, now: NDArray[np.int64], before: NDArray[np.int64]
) -> list[_Ordered]:
    in_training = np.array([item.get("popularity", 0) for item in reference.items])
    nothing = np.zeros_like(now)
    orders = [_Ordered({}, reference.scores([]), _ranks(nothing, in_training))]
    for order in ("popular", "trending"):
        scores = scores_by_events(order, now, before)
        fields = {"window": _WINDOW, "order": order}
        orders.append(_Ordered(fields, scores, _ranks(now, in_training)))
    return orders


def _ranks(events: NDArray[np.int64], in_training: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns the rank of each item among those of equal score: by events, then by training."""
    ranks = np.empty(len(events), dtype=np.int64)
    ranks[np.lexsort((np.arange(len(events)), -in_training, -events))] = np.arange(len(events))
    return ranks


def _has_numbers(
    reference: Reference, content: Mapping[str, Any], sent: Mapping[str, NDArray[np.int64]]
) -> bool:
    """Returns whether an answer has the numbers of events that were `sent`; without, none."""
    items = content["items"]
    rows = reference.rows([each["item_id"] for each in items])
    return content["degraded"] is False and all(
        content[name] == (int(sent[name].sum()) if sent else None)
        and [each[name] for each in items]
        == (sent[name][rows].tolist() if sent else [None] * len(items))
        for name in _HOURS_AGO
    )
