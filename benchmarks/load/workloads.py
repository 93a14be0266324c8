"""Makes workloads for the session API: clicks, each of which is answered with recommendations.

There are two workloads:

- *visitors* come and go: their sessions have power-law lengths, and most are short;
- *regulars* are the hardest case: each has a full history before the measurement begins.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from urllib.parse import quote

import numpy as np
import orjson
from redis import Redis

from benchmarks.errors import BenchmarkError
from benchmarks.load.clicks import (
    Click,
    clicks_of,
    interleaved,
    power_law_sessions,
    predecessors_of,
)
from benchmarks.load.connection import post
from benchmarks.load.generator import run_in_process
from benchmarks.load.plan import Outcome, Plan, Times
from service.access.principal import DEFAULT_TENANT
from service.stores.history.redis_keys import keys_of
from service.stores.session_refs import session_ref

RATE = 1_000
"""Requests per second in the benchmarks that send at a constant rate."""

SESSION_SECRET = "of-benchmarks-alone-not-a-secret!"  # noqa: S105 - as it says
"""The SESSION_SECRET of services that are measured, by which the keys of sessions are known."""

K = 20
NUM_REGULARS = 2_000
NUM_TEMPLATES = 10
HISTORY_LENGTH = 50
FILL_ATTEMPTS = 3
MAX_FAILED_SHARE = 0.01
SEED = 0


@dataclass(frozen=True)
class Endpoint:
    """A route that receives clicks, of the service or of another server.

    Attributes:
        request_of: function that encodes a click as an HTTP request.
        proofs: byte strings that the body of every good answer contains.
        key_of: function that returns the Redis key of a session's history; None if the only key
            that contains the session's id is that key.
    """

    request_of: Callable[[Click], bytes]
    proofs: tuple[bytes, ...]
    key_of: Callable[[str], str] | None = None


def _event(click: Click) -> bytes:
    path = f"/v1/sessions/{quote(click.session_id)}/events?k={K}"
    return post(path, orjson.dumps({"item_id": click.item_id}))


def _service_key(session_id: str) -> str:
    return keys_of(session_ref(SESSION_SECRET, DEFAULT_TENANT, session_id)).events


# The student must answer by the stored history; an answer by any fallback counts as a failure.
SERVICE = Endpoint(
    _event, (b'"source":"student"', b'"degraded":false', b'"unknown_items":0'), _service_key
)


def with_key(api_key: str) -> Endpoint:
    """Returns the endpoint `SERVICE`, with requests that carry an API key."""
    header = f"\r\nauthorization: Bearer {api_key}\r\n".encode()
    return replace(SERVICE, request_of=lambda click: _event(click).replace(b"\r\n", header, 1))


def visitors(item_ids: Sequence[str], count: int, seed: int = SEED) -> list[Click]:
    """Returns `count` clicks of visitors, whose sessions begin empty and are mostly short.

    Another `seed` gives other sessions.
    """
    generator = np.random.default_rng(seed)
    clicks = interleaved(power_law_sessions(item_ids, generator), generator)
    return [
        replace(click, session_id=f"{click.session_id}-{seed}") for click in islice(clicks, count)
    ]


def regulars(item_ids: Sequence[str], count: int) -> list[Click]:
    """Returns `count` clicks of regulars, whose full histories `fill_regulars` prepares."""
    names = [f"regular-{number}" for number in range(NUM_REGULARS)]
    return clicks_of(names, item_ids, count, np.random.default_rng(SEED))


def fill_regulars(redis_port: int, port: int, endpoint: Endpoint, item_ids: Sequence[str]) -> None:
    """Empties Redis, then gives the session of each regular a history of HISTORY_LENGTH items.

    A few template sessions are filled through the server and then copied within Redis.

    Args:
        redis_port: port of Redis on this machine.
        port: port of the server on this machine.
        endpoint: route of the server that receives clicks.
        item_ids: ids of the catalog.

    Raises:
        BenchmarkError: too many clicks fail, or no single key has the history of a session.
    """
    templates = [f"template-{number:03}" for number in range(NUM_TEMPLATES)]
    items = np.random.default_rng(SEED).choice(item_ids, NUM_TEMPLATES * HISTORY_LENGTH)
    clicks = list(map(Click, templates * HISTORY_LENGTH, items.tolist()))
    with Redis(port=redis_port) as redis:
        _send_until_stored(clicks, endpoint, port, redis)
        key_of = endpoint.key_of
        # Releases without session refs name a session by its id.
        if key_of is None or not redis.exists(key_of(templates[0])):
            key_of = _found_keys(redis, templates[0])
        pipeline = redis.pipeline(transaction=False)
        for number in range(NUM_REGULARS):
            template = templates[number % NUM_TEMPLATES]
            pipeline.copy(key_of(template), key_of(f"regular-{number}"))
        if sum(pipeline.execute()) < NUM_REGULARS:
            raise BenchmarkError(f"Redis has no key {key_of(templates[0])}, or not all like it")


def _send_until_stored(
    clicks: Sequence[Click], endpoint: Endpoint, port: int, redis: Redis
) -> None:
    """Empties Redis and sends `clicks`, again if more than a tenth are not answered well.

    On a busy machine a service may find Redis too slow, and does without it for a while.

    Raises:
        BenchmarkError: too many clicks fail each time.
    """
    for attempt in range(FILL_ATTEMPTS):
        time.sleep(attempt)
        redis.flushdb()
        outcome = run_in_process(closed_loop(clicks, endpoint, port, seconds=60.0, connections=8))
        if outcome.num_failed <= len(clicks) / 10:  # a lost click only shortens one history
            return
    raise BenchmarkError(f"the server fails on its first clicks: {outcome.failures}")


def require_answers(outcome: Outcome) -> Outcome:
    """Returns `outcome`, if nearly all of its requests were answered well.

    A refused request costs less than an answer, so a cost per request would be too low.

    Raises:
        BenchmarkError: more than `MAX_FAILED_SHARE` of the requests failed.
    """
    if outcome.num_failed > MAX_FAILED_SHARE * len(outcome.latencies):
        count = f"{outcome.num_failed:,} of {len(outcome.latencies):,}"
        raise BenchmarkError(f"{count} requests failed: {outcome.failures}")
    return outcome


def open_loop(
    clicks: Sequence[Click], endpoint: Endpoint, port: int, due: Times, warm_up_seconds: float
) -> Plan:
    """Returns the plan of an open loop, which sends each click at its time in `due`."""
    return replace(closed_loop(clicks, endpoint, port), due=due, warm_up_seconds=warm_up_seconds)


def closed_loop(
    clicks: Sequence[Click],
    endpoint: Endpoint,
    port: int,
    *,
    seconds: float = float("inf"),
    connections: int = 64,
    warm_up_seconds: float = 0.0,
) -> Plan:
    """Returns the plan of a closed loop, which sends a click as soon as a connection is free."""
    return Plan(
        port=port,
        requests=[endpoint.request_of(click) for click in clicks],
        predecessors=predecessors_of(clicks),
        due=None,
        connections=connections,
        seconds=seconds,
        warm_up_seconds=warm_up_seconds,
        proofs=endpoint.proofs,
    )


def _found_keys(redis: Redis, session_id: str) -> Callable[[str], str]:
    """Returns the form of the only key that contains `session_id`, as a function of the id."""
    keys: list[bytes] = redis.keys(f"*{session_id}*")  # type: ignore[assignment]
    if len(keys) != 1:
        raise BenchmarkError(
            f"{len(keys)} Redis keys contain {session_id}: the server must store a session under "
            "exactly one key"
        )
    key = keys[0].decode()
    return lambda each: key.replace(session_id, each)
