"""Proves that faults of Redis cause no 5xx, no slow answer, and no lost or doubled event.

A real service process under load uses a real Redis with a replica. A TCP proxy between them makes
the faults of the network.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter
from redis import Redis, RedisCluster

from proofs.chaos.cluster import primary_killed, running_cluster_stack
from proofs.chaos.faults import FAULTS
from proofs.chaos.plot import Row, save_plot
from proofs.chaos.stack import running_stack
from proofs.fixtures.choices import each_of
from proofs.fixtures.load.streams import no_garbage_collection
from proofs.fixtures.load.visitors import Answer, Load, event_figures
from proofs.fixtures.places import EXAMPLE
from proofs.fixtures.processes.waiting import free_ports
from proofs.record import FOLDER, Figure

CLUSTER_FAULT = "cluster primary killed"
ALL_FAULTS = (*FAULTS, CLUSTER_FAULT)
_MAX_EXTRA_MS = 50
_MAX_NORMAL_MS = 20
_MAX_RECOVERY_SECONDS = 2
_MAX_TOLD_SECONDS = 0.5  # `/readyz` asks Redis each 0.25 s, and this proof `/readyz` each 0.1 s
_NOT_TOLD = ("resets",)  # a connection that is reset is replaced at once, and loses no event


def prove(
    *,
    bundle: Path = EXAMPLE,
    rate: float = 300,
    seconds: float = 10,
    before: float = 30,
    fault: Annotated[Sequence[str], Parameter(validator=each_of(ALL_FAULTS))] = ALL_FAULTS,
    plot: Path = FOLDER / "chaos.png",
) -> Iterator[Figure]:
    """Measures each fault, one after the other, and plots latency over time.

    Args:
        bundle: the served bundle.
        rate: requests a second.
        seconds: how many seconds a fault lasts.
        before: how many seconds of normal load precede each fault.
        fault: names of the faults to measure; all by default.
        plot: file of the plot.
    """
    rows: list[Row] = []

    def measure(name: str, faulty: AbstractContextManager[None], port: int) -> Row:
        rows.append(_measure(name, faulty, Load(port, rate, name), seconds, before))
        return rows[-1]

    with tempfile.TemporaryDirectory() as folder, no_garbage_collection():
        on_one_node = [each for each in fault if each in FAULTS]
        if on_one_node:
            with running_stack(Path(folder), bundle, free_ports()) as stack:
                for name in on_one_node:
                    row = measure(name, FAULTS[name](stack), stack.service_port)
                    yield from _figures(row, stack.primary.client)
        if CLUSTER_FAULT in fault:
            with running_cluster_stack(Path(folder), bundle, free_ports()) as cluster:
                row = measure(CLUSTER_FAULT, primary_killed(cluster), cluster.service_port)
                rows[-1] = row = replace(row, over=cluster.promoted_at)
                name = f"{CLUSTER_FAULT}: its replica took over after"
                yield Figure(name, "s", row.over - row.began)
                yield from _figures(row, cluster.client)
    save_plot(plot, rows)


def _measure(
    name: str, faulty: AbstractContextManager[None], load: Load, seconds: float, before: float
) -> Row:
    with load:
        time.sleep(before)
        began = time.monotonic()
        with faulty:
            time.sleep(seconds)
            ended = time.monotonic()
        over = time.monotonic()
        time.sleep(_MAX_RECOVERY_SECONDS + 1)
    return Row(name, load, began, ended, over)


def _figures(row: Row, redis: Redis | RedisCluster) -> Iterator[Figure]:
    yield from latency_figures(row)
    yield from event_figures(row.name, row.load, redis)


def latency_figures(row: Row) -> Iterator[Figure]:
    """Yields latency, errors, recovery and how soon `/readyz` told, in and after a fault."""
    name, answers = row.name, row.load.answers
    normal = _p99([each for each in answers if each.due < row.began])
    during = _p99([each for each in answers if row.began <= each.due < row.ended])
    yield Figure(f"{name}: normal p99", "ms", normal)
    yield Figure(
        f"{name}: p99 in the fault",
        "ms",
        during,
        at_most=min(normal, _MAX_NORMAL_MS) + _MAX_EXTRA_MS,
    )
    late = max((s for due, s in row.load.lateness if row.began <= due < row.ended), default=0)
    yield Figure(f"{name}: this process itself late by at most", "ms", late * 1000)
    errors = sum(each.status >= 500 for each in answers)
    yield Figure(f"{name}: 5xx and lost connections", "answers", errors, at_most=0)
    recovery = max((each.due - row.over for each in answers if each.is_degraded), default=0)
    yield Figure(f"{name}: recovery", "s", max(0.0, recovery), at_most=_MAX_RECOVERY_SECONDS)
    if name not in _NOT_TOLD:
        told = _told_after(row)
        yield Figure(f"{name}: /readyz degraded after", "s", told, at_most=_MAX_TOLD_SECONDS)


def _told_after(row: Row) -> float:
    """Returns the seconds from the begin of a fault until `/readyz` said degraded, or infinity."""
    told = (at for at, is_degraded in row.load.readiness if is_degraded and at >= row.began)
    return min(told, default=inf) - row.began


def _p99(answers: Sequence[Answer]) -> float:
    return float(np.quantile([each.seconds for each in answers], 0.99)) * 1000
