"""Proves that too many requests of one kind harm neither light requests nor the service.

A real service has one core and the load generator another. The normal load is light requests. Four
kinds of request are expensive: batch, explain, filters over the catalog, and compare. Of each, the
service gets five times as many as it can answer beside the normal load. Then it gets twice as many
light requests as it can answer. The speed of a shared machine changes meanwhile, so the overload
comes in turns: in each, what it can answer is measured, then normal load, then overload. Measured
are goodput, latency of light requests, refusals, health checks and memory. Latencies are compared
with the p99 of light requests under the normal load right before. Goodput is compared with what the
service could answer right before and right after. Requests that were due and were not sent, for
lack of a connection or because the generator was late, are a figure of their own and have a bar.

Beside batches, explanations and comparisons, which wait for a turn of heavy work, 99 % of light
requests must be accepted. The filters cost so little in the example's catalog that the service
admits these requests as light ones, as it does the last flood. There is no bar for such floods:
which requests of one kind are refused then is chance.

python -m proofs overload [--seconds N] [--normal-seconds N] [--bundle FOLDER] [--kind KIND]
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Annotated

import httpx
import uvloop
from cyclopts import Parameter

from proofs.fixtures.choices import each_of
from proofs.fixtures.load.cores import one_core_each
from proofs.fixtures.load.requests import KINDS, LIGHT, requests_of, teaching
from proofs.fixtures.load.streams import (
    OK,
    Answer,
    Stream,
    no_garbage_collection,
    p99,
    share_not_sent,
)
from proofs.fixtures.places import EXAMPLE
from proofs.fixtures.processes.service import serving
from proofs.overload.stage import (
    CONNECTIONS,
    MAX_FLOOD_NOT_SENT,
    MAX_NORMAL_MS,
    NORMAL_SHARE,
    Stage,
    counts,
    health_figures,
    not_sent_figure,
    refusal_ms,
    sustainable_rate,
)
from proofs.overload.turns import MIB, Turn, overloaded
from proofs.overload.two_keys import TWO_KEYS, two_keys
from proofs.record import Figure

LEAVING = 100  # clients that leave
ADMITTED_AS_LIGHT = ("filters", LIGHT)
MIN_ACCEPTED = 0.99  # of light requests beside a flood of others
ALL_KINDS = (*KINDS, TWO_KEYS)


async def overload(kind: str, stage: Stage, normal_seconds: float, turns: int) -> list[Figure]:
    """Sends more requests of a kind than the service can answer, in turns; returns the figures.

    They are measured before the overload, during it and after it. `normal_seconds`: time of normal
    load before it, whose p99 of light requests is the normal one; `stage.seconds`: of overload.
    """
    factor = 2 if kind == LIGHT else 5
    memory = stage.process.memory_info().rss / MIB
    of_a_turn = replace(stage, seconds=stage.seconds / turns)
    shown: list[Turn] = []
    for _ in range(turns):
        shown.append(await overloaded(kind, of_a_turn, factor, normal_seconds / turns, shown))
    rates = [*(each.sustainable for each in shown), await sustainable_rate(kind, of_a_turn)]
    could = [of_a_turn.seconds * mean(each) for each in pairwise(rates)]
    name, grown = f"{factor}x {kind}", max(each.memory for each in shown) - memory
    return [
        *_rate_figures(name, factor, could, shown),
        *_answer_figures(name, kind, shown),
        Figure(f"{name}: memory grown", "MiB", grown, at_most=64),
    ]


def _rate_figures(
    name: str, factor: int, could: Sequence[float], turns: Sequence[Turn]
) -> Iterator[Figure]:
    """Yields what the service could answer, what was sent, and what was answered in time.

    Args:
        name: beginning of the names of the figures.
        factor: requests that were to be sent, as a multiple of those that it could answer.
        could: for each turn, the number of requests that it could have answered in the overload.
        turns: what each turn has shown.
    """
    rates = [each.sustainable for each in turns]
    yield Figure(f"{name}: sustainable rate, lowest", "requests/s", min(rates))
    yield Figure(f"{name}: sustainable rate, highest", "requests/s", max(rates))
    offered = sum(each.sent for each in turns) / sum(could)
    yield Figure(f"{name}: offered, of that", "", offered, at_least=0.9 * factor)
    share = share_not_sent([each.flood for each in turns])
    yield Figure(f"{name}: not sent, of the flood", "", share, at_most=MAX_FLOOD_NOT_SENT)
    goodput = f"{name}: goodput, of the sustainable rate"
    yield Figure(goodput, "", sum(each.good for each in turns) / sum(could), at_least=0.8)
    of_turns = [turn.good / most for turn, most in zip(turns, could, strict=True)]
    yield Figure(f"{goodput}: lowest turn", "", min(of_turns))
    yield Figure(f"{goodput}: highest turn", "", max(of_turns))


def _answer_figures(name: str, kind: str, turns: Sequence[Turn]) -> Iterator[Figure]:
    """Yields how light requests, the flood of a kind and health checks were answered."""
    normal, during, after, health = (
        [answer for answers in each for answer in answers]
        for each in zip(*((t.normal, t.during, t.after, t.health) for t in turns), strict=True)
    )
    flood = [answer for each in turns for answer in each.flood.answers]
    everything = [*flood, *(answer for each in turns for answer in each.light.answers)]
    limit = 2 * min(p99(normal, OK), MAX_NORMAL_MS)
    yield Figure(f"{name}: normal p99 of light ones", "ms", p99(normal, OK))
    yield not_sent_figure(f"{name}: not sent, of light ones", [each.light for each in turns])
    yield accepted_figure(name, kind, during)
    yield Figure(f"{name}: p99 of accepted light ones", "ms", p99(during, OK), at_most=limit)
    yield Figure(f"{name}: p99 of refusals", "ms", refusal_ms(flood), at_most=50)
    yield from health_figures(name, health)
    yield Figure(f"{name}: p99 from 2 s after the end", "ms", p99(after, OK), at_most=limit)
    yield from counts(name, everything)


def accepted_figure(name: str, kind: str, during: Sequence[Answer]) -> Figure:
    """Returns which share of light requests was accepted beside a flood of a kind."""
    share = sum(each.status == OK for each in during) / max(1, len(during))
    at_least = None if kind in ADMITTED_AS_LIGHT else MIN_ACCEPTED
    return Figure(f"{name}: accepted, of light ones", "", share, at_least=at_least)


async def left(stage: Stage) -> Figure:
    """Sends batches whose clients disconnect at once.

    Returns the figure of how many of these batches the service ranked all the same.
    """
    before = await _computed_lists(stage.port)
    batch = stage.requests["batch"][0]
    for _ in range(LEAVING):
        _, writer = await asyncio.open_connection("127.0.0.1", stage.port)
        writer.write(batch)
        await writer.drain()
        writer.transport.abort()
    await asyncio.sleep(2)
    computed = await _computed_lists(stage.port) - before
    return Figure(
        f"of {LEAVING} batches of clients that left: computed", "batches", computed / 64, at_most=1
    )


async def _computed_lists(port: int) -> float:
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    lines = [line for line in text.splitlines() if line.startswith("recommender_answers_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def _measure(
    bundle: Path, seconds: float, normal_seconds: float, kinds: Sequence[str], turns: int
) -> list[Figure]:
    requests = requests_of(bundle)
    async with (
        teaching(bundle) as teacher_port,
        serving(BUNDLE_PATH=str(bundle), TEACHER_URL=f"http://127.0.0.1:{teacher_port}") as (
            port,
            process,
        ),
    ):
        with one_core_each([process]):
            light = Stream(port, requests[LIGHT])
            rate = await light.as_answered(CONNECTIONS, max(1, normal_seconds / 6))
            stage = Stage(port, process, requests, NORMAL_SHARE * rate, seconds)
            figures: list[Figure] = []
            for kind in [each for each in kinds if each != TWO_KEYS]:
                figures += await overload(kind, stage, normal_seconds, turns)
            return [*figures, await left(stage)]


def prove(
    *,
    seconds: Annotated[float, Parameter(help="Seconds of overload of each kind.")] = 60,
    normal_seconds: Annotated[float, Parameter(help="Seconds of normal load before each.")] = 30,
    turns: Annotated[int, Parameter(help="Number of turns of both, for each kind.")] = 6,
    bundle: Annotated[Path, Parameter(help="The served bundle.")] = EXAMPLE,
    kind: Annotated[
        Sequence[str], Parameter(help="Kinds of overload.", validator=each_of(ALL_KINDS))
    ] = ALL_KINDS,
) -> Iterator[Figure]:
    """Overload a service with expensive and with light requests."""
    with (
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,  # for its speed
        no_garbage_collection(),
    ):
        if set(kind) & set(KINDS):
            yield from runner.run(_measure(bundle, seconds, normal_seconds, kind, turns))
        if TWO_KEYS in kind:
            yield from runner.run(two_keys(bundle, seconds, normal_seconds, turns))
