"""A running service under load: streams of requests at a rate, and what their answers show."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psutil

from proofs.fixtures.load.requests import LIGHT
from proofs.fixtures.load.streams import (
    NO_ANSWER,
    OK,
    REFUSED,
    Answer,
    Stream,
    p99,
    running,
    share_not_sent,
)
from proofs.record import Figure

NORMAL_SHARE = 0.3
"""Rate of the normal load as a share of the sustainable rate of light requests."""

MAX_NORMAL_MS = 20
"""Maximum p99 that counts as normal, in milliseconds."""

RECOVERY_SECONDS = 2.0
"""Time after the end of an overload from which latency must be normal again."""

CONNECTIONS = 16
"""Number of connections that keep the service busy with light requests."""

_HEAVY_CONNECTIONS = 3

MAX_NOT_SENT = 0.01
"""Maximum share of the measured requests that was not sent: a p99 tells nothing of one in 100."""

MAX_FLOOD_NOT_SENT = 0.1
"""Maximum share of a flood that was not sent: what the bar of the offered rate leaves."""


@dataclass(frozen=True)
class Stage:
    """A running service, and the requests to send to it.

    Attributes:
        port: TCP port of the service.
        process: process of the service.
        requests: encoded requests by kind.
        light_rate: light requests a second of the normal load.
        seconds: duration of the overload of one kind.
    """

    port: int
    process: psutil.Process
    requests: Mapping[str, Sequence[bytes]]
    light_rate: float
    seconds: float

    def stream(self, kind: str) -> Stream:
        """Makes a stream of requests of one kind; it sends none yet."""
        return Stream(self.port, self.requests[kind])

    @asynccontextmanager
    async def normal_load(self) -> AsyncIterator[Stream]:
        """Sends light requests at the normal rate during a `with` block; yields their stream."""
        async with running(self.stream(LIGHT), self.light_rate) as light:
            yield light


async def sustainable_rate(kind: str, stage: Stage) -> float:
    """Measures how many requests of a kind the service can answer per second.

    Expensive requests come beside the normal load, light ones alone. The result is at least 1.
    """
    seconds = max(1.0, stage.seconds / 4)
    if kind == LIGHT:
        rate = await stage.stream(kind).as_answered(CONNECTIONS, seconds)
    else:
        async with stage.normal_load():
            rate = await stage.stream(kind).as_answered(_HEAVY_CONNECTIONS, seconds)
    return max(rate, 1.0)  # a busy machine may answer nothing in a short run


def health_figures(name: str, answers: Sequence[Answer]) -> Iterator[Figure]:
    """Yields the latency of health checks, and how many of them were not answered 200."""
    failed = sum(each.status != OK for each in answers)
    yield Figure(f"{name}: p99 of /healthz", "ms", p99(answers, OK), at_most=50)
    yield Figure(f"{name}: /healthz not answered 200", "requests", failed, at_most=0)


def not_sent_figure(name: str, streams: Sequence[Stream]) -> Figure:
    """Returns the share of measured requests that were due and were not sent."""
    return Figure(name, "", share_not_sent(streams), at_most=MAX_NOT_SENT)


def refusal_ms(answers: Sequence[Answer]) -> float:
    """Returns the p99 of refusals in milliseconds; 0 if nothing is refused."""
    return p99(answers, REFUSED) if any(each.status == REFUSED for each in answers) else 0.0


def counts(name: str, answers: Sequence[Answer]) -> Iterator[Figure]:
    """Yields the numbers of answers that are refused, lost, or neither good nor refused."""
    count = Counter(each.status for each in answers)
    lost = count[NO_ANSWER]
    others = count.total() - count[OK] - count[REFUSED] - lost
    yield Figure(f"{name}: refused", "requests", count[REFUSED])
    yield Figure(f"{name}: lost, or without Retry-After", "requests", lost, at_most=0)
    yield Figure(f"{name}: neither 200 nor 503", "requests", others, at_most=0)
