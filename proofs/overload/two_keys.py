"""Two API keys, one of which sends too many requests: what the other one notices of it."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from proofs.fixtures.load.cores import one_core_each
from proofs.fixtures.load.requests import HEALTH, LIGHT, requests_of
from proofs.fixtures.load.streams import OK, REFUSED, Answer, Stream, p99, running
from proofs.fixtures.processes.service import serving
from proofs.overload.stage import (
    CONNECTIONS,
    MAX_NORMAL_MS,
    NORMAL_SHARE,
    RECOVERY_SECONDS,
    Stage,
    counts,
    health_figures,
    refusal_ms,
    sustainable_rate,
)
from proofs.record import Figure
from service.access.key_commands import NewKey, create_key
from service.access.principal import Scope

TWO_KEYS = "two-keys"
"""Name of this part of the proof."""

_MAX_FACTOR = 1.5  # of the modest key's p99 under normal load
_MAX_HELD_MS = 1_100  # a pause of a second, and the refusal
_GREEDY = {"batch": 5, LIGHT: 2}  # how many times as much as the service can answer


async def two_keys(bundle: Path, seconds: float, normal_seconds: float, turns: int) -> list[Figure]:
    """Measures the light requests of a modest key before and while another one is greedy.

    The modest key sends the normal load. For `seconds`, in turns, the greedy key sends five times
    as many batches and twice as many light requests as the service can answer. It ignores
    `Retry-After`, so the service reads its connections late; the refusals that follow are measured
    apart.
    """
    with TemporaryDirectory() as folder:
        keys_path = Path(folder) / "keys.json"
        greedy, modest = (create_key(keys_path, NewKey(frozenset({Scope.READ}))) for _ in range(2))
        requests = requests_of(bundle)
        async with serving(BUNDLE_PATH=str(bundle), KEYS_FILE=str(keys_path)) as (port, process):
            with one_core_each([process]):
                trial = Stream(port, with_key(greedy, requests)[LIGHT])
                rate = NORMAL_SHARE * await trial.as_answered(CONNECTIONS, normal_seconds / 6)
                stage = Stage(port, process, with_key(modest, requests), rate, seconds)
                return await _measure(stage, with_key(greedy, requests), normal_seconds, turns)


def with_key(key: str, requests: Mapping[str, Sequence[bytes]]) -> Mapping[str, Sequence[bytes]]:
    """Returns the encoded HTTP requests with an API key in their headers."""
    header = f"\r\nauthorization: Bearer {key}\r\n".encode()
    return {
        kind: [each.replace(b"\r\n", header, 1) for each in of_kind]
        for kind, of_kind in requests.items()
    }


async def _measure(
    stage: Stage, greedy: Mapping[str, Sequence[bytes]], normal_seconds: float, turns: int
) -> list[Figure]:
    health, flood = Stream(stage.port, [HEALTH]), list[Answer]()
    normal, during = list[Answer](), list[Answer]()
    of_a_turn = replace(stage, seconds=stage.seconds / turns)
    for _ in range(turns):
        rates = {
            kind: factor * await sustainable_rate(kind, of_a_turn)
            for kind, factor in _GREEDY.items()
        }
        async with stage.normal_load() as modest, running(health, 10):
            await asyncio.sleep(normal_seconds / turns)
            first = len(modest.answers)
            async with AsyncExitStack() as floods:
                flooding = [
                    await floods.enter_async_context(
                        running(Stream(stage.port, greedy[kind]), rates[kind])
                    )
                    for kind in _GREEDY
                ]
                await asyncio.sleep(of_a_turn.seconds)
                last = len(modest.answers)
            await asyncio.sleep(RECOVERY_SECONDS)
        normal += modest.answers[:first]
        during += modest.answers[first:last]
        flood += [answer for each in flooding for answer in each.answers]
    return [*_figures(p99(normal, OK), during, flood, health.answers), *counts(TWO_KEYS, flood)]


def _figures(
    normal: float, during: Sequence[Answer], flood: Sequence[Answer], health: Sequence[Answer]
) -> list[Figure]:
    limit = _MAX_FACTOR * min(normal, MAX_NORMAL_MS)
    refused = sum(each.status == REFUSED for each in during) / max(1, len(during))
    served = sum(each.status == OK for each in flood)
    early = [each for each in flood if each.is_early]
    timely = [each for each in flood if not each.is_early]
    name = f"{TWO_KEYS}: "
    return [
        Figure(f"{name}normal p99 of the modest one", "ms", normal),
        Figure(f"{name}p99 of the modest one", "ms", p99(during, OK), at_most=limit),
        Figure(f"{name}refused, of the modest one's", "", refused, at_most=0.01),
        Figure(f"{name}answered, of the greedy one's", "requests", served),
        Figure(f"{name}p99 of refusals", "ms", refusal_ms(timely), at_most=50),
        Figure(
            f"{name}p99 of refusals of requests sent before Retry-After",
            "ms",
            refusal_ms(early),
            at_most=_MAX_HELD_MS,
        ),
        *health_figures(TWO_KEYS, health),
    ]
