"""Compares the CPU time of a request with event log and impressions with that of one without.

Two services on one Redis, one of them with `EVENT_LOG=on`, get the same clicks of sessions with 50
items, as fast as they answer. They take turns, and the CPU time of the service and that of Redis
are measured in each. Then a service with the log gets 1,000 requests a second, and a collector
fetches what is in the log. The whole is the CPU time of service, Redis and, with the log, of the
collector, whose start is a figure of its own. The bar is for the service, which answers; the
collector works whenever there is time. A request without a good answer misses a bar.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from resource import RUSAGE_CHILDREN, getrusage
from tempfile import TemporaryDirectory

from benchmarks.load.generator import run_in_process
from benchmarks.load.plan import Outcome, even
from benchmarks.load.workloads import (
    HISTORY_LENGTH,
    NUM_TEMPLATES,
    RATE,
    SERVICE,
    closed_loop,
    fill_regulars,
    open_loop,
    regulars,
)
from benchmarks.measures.constant_rate import P99_MS
from benchmarks.results.intervals import median_interval
from benchmarks.subjects.loaded_service import WARM_UP_SECONDS
from benchmarks.subjects.processes import RunningProgram, running_redis, running_service
from proofs.fixtures.places import EXAMPLE
from proofs.record import Figure
from training.events.log_folder import LogFolder
from training.events.reading import read_copies
from training.progress import ProgressBar

AT_MOST = 1.15
_CONNECTIONS = 16
_REQUESTS_A_SECOND = 8_000  # more than a worker answers


@dataclass(frozen=True)
class Cost:
    """CPU time of a request in the service and in Redis, and the number of failed requests.

    Attributes:
        service_us: CPU time of the service for a request, in µs.
        redis_us: CPU time of Redis for a request, in µs.
        failed: number of requests without a good answer.
    """

    service_us: float
    redis_us: float
    failed: int


def prove(
    *, starts: int = 15, turns: int = 3, seconds: float = 1.0, steady_seconds: float = 30.0
) -> Iterator[Figure]:
    """Measures the CPU time of both services in turns, then latency at a constant rate.

    The place of a process in memory changes its CPU time by several percent, which further turns of
    the same process do not average out. So both services are started several times, and each start
    gives one ratio.

    Args:
        starts: number of starts of both services.
        turns: number of measurements of each service after a start.
        seconds: time of a measurement of CPU time.
        steady_seconds: time of the measurement at a constant rate.
    """
    lines = (EXAMPLE / "items.jsonl").read_text(encoding="utf-8").splitlines()
    item_ids = [json.loads(line)["item_id"] for line in lines]
    pairs: list[tuple[Cost, Cost]] = []
    with running_redis() as redis:
        with ProgressBar("measuring CPU time", starts, "start") as bar:
            for _ in range(starts):
                with _both_services(redis) as services:
                    fill_regulars(redis.port, services[0].port, SERVICE, item_ids)
                    pairs.append(_costs(redis, services, item_ids, turns, seconds))
                bar.advance()
        with running_service(EXAMPLE, redis, EVENT_LOG="on") as service:
            steady = _steady(redis, service, item_ids, steady_seconds)
        records, collector_seconds = _collected(redis)
        _, start_seconds = _collected(redis)
    # Each answered click, those that filled the histories too, left an event and an impression.
    logged = 2 * (steady.num_sent - steady.num_failed + NUM_TEMPLATES * HISTORY_LENGTH)
    collector_us = max(0.0, collector_seconds - start_seconds) * 1e6 / max(1, records / 2)
    yield from cost_figures(pairs, collector_us)
    failed = steady.num_failed + sum(each.failed for pair in pairs for each in pair)
    yield Figure("requests without a good answer", "requests", failed, at_most=0)
    p99 = steady.percentile(99)
    yield Figure(f"p99 with event log at {RATE:,} requests/s", "ms", p99, at_most=P99_MS)
    yield Figure("collected records", "records", records, at_least=logged)
    yield Figure("collector: its start", "s CPU", start_seconds)
    yield Figure("collected by one core, start included", "records/s", records / collector_seconds)


def cost_figures(pairs: Sequence[tuple[Cost, Cost]], collector_us: float) -> Iterator[Figure]:
    """Yields the CPU time of a request by process, and of the whole, without the log and with it.

    Args:
        pairs: for each start, the costs without event log and with it.
        collector_us: CPU time of the collector for a request, in µs.
    """
    for name, of in (("service", _service_us), ("Redis", _redis_us)):
        for place, kind in enumerate(("without", "with")):
            cost = statistics.median(of(pair[place]) for pair in pairs)
            yield Figure(f"{name}: request {kind} event log", "µs CPU", cost)
    yield Figure("collector: request, without its start", "µs CPU", collector_us)
    ratios = [with_log.service_us / without.service_us for without, with_log in pairs]
    low, high = median_interval(ratios)
    yield Figure("service: with over without", "times", statistics.median(ratios), low, high)
    yield Figure("service: with over without, upper end", "times", high, at_most=AT_MOST)
    wholes = [
        (with_log.service_us + with_log.redis_us + collector_us)
        / (without.service_us + without.redis_us)
        for without, with_log in pairs
    ]
    low, high = median_interval(wholes)
    yield Figure("whole: with over without", "times", statistics.median(wholes), low, high)


def _service_us(cost: Cost) -> float:
    return cost.service_us


def _redis_us(cost: Cost) -> float:
    return cost.redis_us


@contextmanager
def _both_services(redis: RunningProgram) -> Iterator[tuple[RunningProgram, RunningProgram]]:
    """Runs a service without event log and one with it, for the duration of a `with` block."""
    with (
        running_service(EXAMPLE, redis) as without,
        running_service(EXAMPLE, redis, EVENT_LOG="on") as with_log,
    ):
        yield without, with_log


def _costs(
    redis: RunningProgram,
    services: tuple[RunningProgram, RunningProgram],
    item_ids: Sequence[str],
    turns: int,
    seconds: float,
) -> tuple[Cost, Cost]:
    """Returns what a request to each of two services costs: the median of its turns.

    The services take turns, and each of them comes first in every other turn.
    """
    costs: tuple[list[Cost], list[Cost]] = ([], [])
    for turn in range(turns):
        for at in (0, 1) if turn % 2 else (1, 0):
            costs[at].append(_cost(redis, services[at], item_ids, seconds))
    return _median(costs[0]), _median(costs[1])


def _median(costs: Sequence[Cost]) -> Cost:
    return Cost(
        statistics.median(each.service_us for each in costs),
        statistics.median(each.redis_us for each in costs),
        sum(each.failed for each in costs),
    )


def _cost(
    redis: RunningProgram, service: RunningProgram, item_ids: Sequence[str], seconds: float
) -> Cost:
    clicks = regulars(item_ids, round(seconds * _REQUESTS_A_SECOND))
    plan = closed_loop(clicks, SERVICE, service.port, seconds=seconds, connections=_CONNECTIONS)
    before = [each.cpu_seconds() for each in (service, redis)]
    outcome = run_in_process(plan)
    after = [each.cpu_seconds() for each in (service, redis)]
    of_service, of_redis = (
        (end - start) * 1e6 / outcome.num_sent for start, end in zip(before, after, strict=True)
    )
    return Cost(of_service, of_redis, outcome.num_failed)


def _steady(
    redis: RunningProgram, service: RunningProgram, item_ids: Sequence[str], seconds: float
) -> Outcome:
    """Sends `RATE` requests a second; latency counts from the due time.

    All requests count, those of the warm-up of `WARM_UP_SECONDS` for answers and records alone.
    """
    fill_regulars(redis.port, service.port, SERVICE, item_ids)
    due = even(RATE, WARM_UP_SECONDS + seconds)
    clicks = regulars(item_ids, len(due))
    return run_in_process(open_loop(clicks, SERVICE, service.port, due, WARM_UP_SECONDS))


def _collected(redis: RunningProgram) -> tuple[int, float]:
    """Runs a collector once; returns the number of records in its log, and its CPU seconds."""
    with TemporaryDirectory() as folder:
        before = getrusage(RUSAGE_CHILDREN)
        url = f"redis://127.0.0.1:{redis.port}"
        command = [sys.executable, "-m", "distilled_recommender", "collect", "--redis-url", url]
        subprocess.run([*command, "--once", folder], check=True, stdout=subprocess.DEVNULL)
        after = getrusage(RUSAGE_CHILDREN)
        log = LogFolder(folder)
        records = sum(len(read_copies(log, kind)) for kind in ("event", "impression"))
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    return records, user + system
