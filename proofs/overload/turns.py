"""Turns of normal load, overload and rest, between measurements of what the service can answer.

The speed of a shared machine changes within seconds. What is compared is therefore measured in
short turns, one after another, and counted over all of them.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from proofs.fixtures.load.requests import HEALTH, LIGHT
from proofs.fixtures.load.streams import OK, Answer, Stream, running
from proofs.overload.stage import RECOVERY_SECONDS, Stage, sustainable_rate

MIB = 2**20


@dataclass(frozen=True)
class Turn:
    """The answers, rates and memory of one turn of normal load, overload and rest.

    Attributes:
        sustainable: requests a second of the kind that the service could answer right before.
        normal, during, after: light requests of the normal load, before the overload, during it
            and from `RECOVERY_SECONDS` after it.
        light: stream of the normal load.
        flood: stream of the overload.
        health: health checks of the whole turn.
        sent: number of requests of the kind that were sent during the overload, those of the normal
            load among them.
        good: number of those that were answered before the overload ended.
        memory: memory of the service at the end of the overload, in MiB.
    """

    sustainable: float
    normal: Sequence[Answer]
    during: Sequence[Answer]
    after: Sequence[Answer]
    light: Stream
    flood: Stream
    health: Sequence[Answer]
    sent: float
    good: int
    memory: float


async def overloaded(
    kind: str, stage: Stage, factor: float, normal_seconds: float, earlier: Sequence[Turn]
) -> Turn:
    """Sends `factor` times as many requests of a kind as the service could answer so far.

    Args:
        kind: kind of request.
        stage: the running service, and the seconds of overload.
        factor: requests that are sent, as a multiple of those that the service can answer.
        normal_seconds: time of normal load before.
        earlier: the turns before, whose sustainable rates count, too.
    """
    sustainable = await sustainable_rate(kind, stage)
    can = mean([*(each.sustainable for each in earlier), sustainable])
    besides = stage.light_rate if kind == LIGHT else 0.0  # what the normal load has of this kind
    health = Stream(stage.port, [HEALTH])
    async with stage.normal_load() as light, running(health, 10):
        await asyncio.sleep(normal_seconds)
        first = len(light.answers)
        async with running(stage.stream(kind), factor * can - besides) as flood:
            await asyncio.sleep(stage.seconds)
            memory = stage.process.memory_info().rss / MIB
            sent, good = flood.num_sent, _good(flood.answers)
            last = len(light.answers)
        await asyncio.sleep(RECOVERY_SECONDS)
        rested = len(light.answers)
        await asyncio.sleep(RECOVERY_SECONDS)
        after = light.answers[rested:]
    normal, during = light.answers[:first], light.answers[first:last]
    return Turn(
        sustainable,
        normal,
        [*during, *flood.answers] if kind == LIGHT else during,
        after,
        light,
        flood,
        health.answers,
        sent + besides * stage.seconds,
        good + _good(during) * (kind == LIGHT),
        memory,
    )


def _good(answers: Sequence[Answer]) -> int:
    return sum(each.status == OK for each in answers)
