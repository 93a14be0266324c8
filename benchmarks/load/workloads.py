"""Workloads: clicks of sessions, each answered with the next items.

Two of them. *Visitors* come and go: sessions with power-law lengths, most of them short. *Regulars*
are the hardest case: each has all the history that a student reads before the clock starts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from urllib.parse import quote

import numpy as np
import orjson
from redis import Redis

from benchmarks.load.clicks import (
    Click,
    clicks_of,
    interleaved,
    power_law_sessions,
    predecessors_of,
)
from benchmarks.load.connection import post
from benchmarks.load.generator import run_apart
from benchmarks.load.plan import Plan, Times
from benchmarks.subjects.processes import BenchmarkError

K = 20
NUM_REGULARS = 2_000
NUM_TEMPLATES = 10
HISTORY_LENGTH = 50
SEED = 0


@dataclass(frozen=True)
class Endpoint:
    """How a server is told of a click, and what its good answers hold."""

    request_of: Callable[[Click], bytes]
    proofs: tuple[bytes, ...]


def _event(click: Click) -> bytes:
    path = f"/v1/sessions/{quote(click.session_id)}/events?k={K}"
    return post(path, orjson.dumps({"item_id": click.item_id}))


# Answered by the student, from the stored history: anything less counts as a failure.
SERVICE = Endpoint(_event, (b'"source":"student"', b'"degraded":false', b'"unknown_items":0'))


def visitors(item_ids: Sequence[str], count: int, seed: int = SEED) -> list[Click]:
    """`count` clicks of visitors who come and go; those of another seed are others."""
    generator = np.random.default_rng(seed)
    clicks = interleaved(power_law_sessions(item_ids, generator), generator)
    return [
        replace(click, session_id=f"{click.session_id}-{seed}") for click in islice(clicks, count)
    ]


def regulars(item_ids: Sequence[str], count: int) -> list[Click]:
    """`count` clicks of sessions that `settle_regulars` has prepared."""
    names = [f"regular-{number}" for number in range(NUM_REGULARS)]
    return clicks_of(names, item_ids, count, np.random.default_rng(SEED))


def settle_regulars(
    redis_port: int, port: int, endpoint: Endpoint, item_ids: Sequence[str]
) -> None:
    """Empties Redis and gives each regular a history of HISTORY_LENGTH items.

    A few sessions are clicked together through the server itself, then copied inside Redis: so
    this holds for any server that keeps a session under a key with the session's id in it.
    """
    templates = [f"template-{number:03}" for number in range(NUM_TEMPLATES)]
    items = np.random.default_rng(SEED).choice(item_ids, NUM_TEMPLATES * HISTORY_LENGTH)
    rounds = list(map(Click, templates * HISTORY_LENGTH, items.tolist()))
    with Redis(port=redis_port) as redis:
        redis.flushdb()
        outcome = run_apart(closed(rounds, endpoint, port, seconds=60.0, connections=8))
        if outcome.num_failed > len(rounds) / 10:  # a click lost shortens one history, no more
            raise BenchmarkError(f"the server failed on its first clicks: {outcome.failures}")
        keys = {session_id: _key_of(redis, session_id) for session_id in templates}
        pipeline = redis.pipeline(transaction=False)
        for number in range(NUM_REGULARS):
            session_id = templates[number % NUM_TEMPLATES]
            key = keys[session_id]
            pipeline.copy(key, key.replace(session_id.encode(), f"regular-{number}".encode()))
        pipeline.execute()


def open_loop(
    clicks: Sequence[Click], endpoint: Endpoint, port: int, due: Times, warm_up_seconds: float
) -> Plan:
    """`clicks` at their intended times."""
    return replace(closed(clicks, endpoint, port), due=due, warm_up_seconds=warm_up_seconds)


def closed(
    clicks: Sequence[Click],
    endpoint: Endpoint,
    port: int,
    *,
    seconds: float = float("inf"),
    connections: int = 64,
    warm_up_seconds: float = 0.0,
) -> Plan:
    """`clicks` as fast as `connections` get answers."""
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


def _key_of(redis: Redis, session_id: str) -> bytes:
    keys: list[bytes] = redis.keys(f"*{session_id}*")  # type: ignore[assignment]
    if len(keys) != 1:
        raise BenchmarkError(f"{len(keys)} Redis keys hold {session_id}, one was awaited")
    return keys[0]
