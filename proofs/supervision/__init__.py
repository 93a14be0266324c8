"""Proves that a hung worker is replaced in time, and that workers end with their supervisor.

A service has two workers. Again and again one of them is stopped, as one that hangs; later the
supervisors of several services are killed.

python -m proofs supervision [--hangs N] [--kills N]
"""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

from cyclopts import Parameter

from benchmarks.subjects.processes import running_redis
from proofs.fixtures.processes.service import SESSION_SECRET, serving
from proofs.fixtures.processes.waiting import wait_until
from proofs.fixtures.processes.workers import (
    has_ended,
    wait_until_both_serve,
    wait_until_one_is_replaced,
)
from proofs.record import Figure
from training.progress import ProgressBar

DRAIN_SECONDS = 1.0
REPLACED_SECONDS = 5.0
END_SECONDS = 2.0


async def _replaced_after(
    hangs: int, settings: Mapping[str, str], bar: ProgressBar
) -> Sequence[float]:
    """Stops a worker `hangs` times; returns the seconds until another one ran in its place."""
    seconds = []
    async with serving(**settings) as (port, supervisor):
        for _ in range(hangs):
            hung = wait_until_both_serve(supervisor, port).pop()
            hung.suspend()
            began = time.monotonic()
            wait_until_one_is_replaced({hung}, supervisor)
            seconds.append(time.monotonic() - began)
            bar.advance()
    return seconds


async def _ended_after(settings: Mapping[str, str], bar: ProgressBar) -> float:
    """Kills the supervisor of a service; returns the seconds until its workers had ended."""
    async with serving(**settings) as (port, supervisor):
        workers = wait_until_both_serve(supervisor, port)
        supervisor.kill()
        began = time.monotonic()
        wait_until(lambda: all(map(has_ended, workers)))
        bar.advance()
        return time.monotonic() - began


def prove(
    *,
    hangs: Annotated[int, Parameter(help="Workers that are stopped.")] = 20,
    kills: Annotated[int, Parameter(help="Supervisors that are killed.")] = 10,
) -> Iterator[Figure]:
    """Stop workers and kill supervisors of services with two workers."""
    with (
        running_redis() as redis,
        ProgressBar("stopping and killing", hangs + kills, "process") as bar,
    ):
        settings = {
            "WORKERS": "2",
            "DRAIN_SECONDS": str(DRAIN_SECONDS),
            "REDIS_URL": f"redis://127.0.0.1:{redis.port}",
            "SESSION_SECRET": SESSION_SECRET,
        }
        replaced = asyncio.run(_replaced_after(hangs, settings, bar))
        ended = [asyncio.run(_ended_after(settings, bar)) for _ in range(kills)]
    yield Figure("stopped workers", "", len(replaced))
    name = "longest time until another worker ran in the place of a stopped one"
    yield Figure(name, "s", max(replaced), at_most=REPLACED_SECONDS)
    yield Figure("killed supervisors", "", len(ended))
    name = "longest time until the workers of a killed supervisor had ended"
    yield Figure(name, "s", max(ended), at_most=DRAIN_SECONDS + END_SECONDS)
