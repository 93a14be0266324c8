"""Two API keys, one of which sends too many requests: what the other one notices of it."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
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
    MAX_FLOOD_NOT_SENT,
    MAX_NORMAL_MS,
    NORMAL_SHARE,
    RECOVERY_SECONDS,
    Stage,
    counts,
    health_figures,
    not_sent_figure,
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
    apart. While all connections of the greedy key wait for that, its further requests are not sent.
    Their number is a figure without a bar: the more they are, the better the greedy key is held.
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
    health, modest, greedy_ones = Stream(stage.port, [HEALTH]), list[Stream](), list[Stream]()
    normal, during = list[Answer](), list[Answer]()
    of_a_turn = replace(stage, seconds=stage.seconds / turns)
    for _ in range(turns):
        rates = {
            kind: factor * await sustainable_rate(kind, of_a_turn)
            for kind, factor in _GREEDY.items()
        }
        async with stage.normal_load() as light, running(health, 10):
            await asyncio.sleep(normal_seconds / turns)
            first = len(light.answers)
            async with AsyncExitStack() as floods:
                for kind, rate in rates.items():
                    flood = Stream(stage.port, greedy[kind])
                    greedy_ones.append(await floods.enter_async_context(running(flood, rate)))
                await asyncio.sleep(of_a_turn.seconds)
                last = len(light.answers)
            await asyncio.sleep(RECOVERY_SECONDS)
        modest.append(light)
        normal += light.answers[:first]
        during += light.answers[first:last]
    everything = [answer for each in (*modest, *greedy_ones) for answer in each.answers]
    return [
        *_modest_figures(p99(normal, OK), during, modest),
        *_greedy_figures(greedy_ones),
        *health_figures(TWO_KEYS, health.answers),
        *counts(TWO_KEYS, everything),
    ]


def _modest_figures(
    normal: float, during: Sequence[Answer], streams: Sequence[Stream]
) -> Iterator[Figure]:
    limit = _MAX_FACTOR * min(normal, MAX_NORMAL_MS)
    refused = sum(each.status == REFUSED for each in during) / max(1, len(during))
    name = f"{TWO_KEYS}: "
    yield Figure(f"{name}normal p99 of the modest one", "ms", normal)
    yield Figure(f"{name}p99 of the modest one", "ms", p99(during, OK), at_most=limit)
    yield Figure(f"{name}refused, of the modest one's", "", refused, at_most=0.01)
    yield not_sent_figure(f"{name}not sent, of the modest one's", streams)


def _greedy_figures(streams: Sequence[Stream]) -> Iterator[Figure]:
    flood = [answer for each in streams for answer in each.answers]
    served = sum(each.status == OK for each in flood)
    early = [each for each in flood if each.is_early]
    timely = [each for each in flood if not each.is_early]
    waiting = sum(each.unsent for each in streams)
    left_out = sum(each.left_out for each in streams) / sum(each.num_due for each in streams)
    name = f"{TWO_KEYS}: "
    yield Figure(f"{name}answered, of the greedy one's", "requests", served)
    yield Figure(f"{name}not sent, of the greedy one's: all connections wait", "requests", waiting)
    late = f"{name}not sent, of the greedy one's: the generator is late"
    yield Figure(late, "", left_out, at_most=MAX_FLOOD_NOT_SENT)
    yield Figure(f"{name}p99 of refusals", "ms", refusal_ms(timely), at_most=50)
    held = f"{name}p99 of refusals of requests sent before Retry-After"
    yield Figure(held, "ms", refusal_ms(early), at_most=_MAX_HELD_MS)
