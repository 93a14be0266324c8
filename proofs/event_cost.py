"""Compares the CPU time of a request with event log and impressions with that of one without.

Two services on one Redis, one of them with `EVENT_LOG=on`, get the same clicks of sessions with 50
items, as fast as they answer. They take turns. Then a service with the log gets 1,000 requests a
second, and a collector fetches what is in the log.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from resource import RUSAGE_CHILDREN, getrusage
from tempfile import TemporaryDirectory

from benchmarks.load.generator import run_in_process
from benchmarks.load.plan import even
from benchmarks.load.workloads import RATE, SERVICE, closed_loop, fill_regulars, open_loop, regulars
from benchmarks.measures.constant_rate import P99_MS
from benchmarks.subjects.cost_pairs import median_interval
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
    pairs: list[tuple[float, float]] = []
    with running_redis() as redis:
        with ProgressBar("measuring CPU time", starts, "start") as bar:
            for _ in range(starts):
                with _both_services(redis) as (without, with_log):
                    fill_regulars(redis.port, without.port, SERVICE, item_ids)
                    pairs.append(_cpu_us((without, with_log), item_ids, turns, seconds))
                bar.advance()
        with running_service(EXAMPLE, redis, EVENT_LOG="on") as service:
            p99 = _steady_p99(redis, service, item_ids, steady_seconds)
        records, collector_seconds = _collected(redis)
    ratios = [with_log / without for without, with_log in pairs]
    low, high = median_interval(ratios)
    for name, costs in zip(("without", "with"), zip(*pairs, strict=True), strict=True):
        yield Figure(f"request {name} event log", "µs CPU", statistics.median(costs))
    yield Figure("with over without", "times", statistics.median(ratios), low, high)
    yield Figure("with over without, upper end", "times", high, at_most=AT_MOST)
    yield Figure(f"p99 with event log at {RATE:,} requests/s", "ms", p99, at_most=P99_MS)
    yield Figure("collected records", "records", records)
    yield Figure("collected by one core, start included", "records/s", records / collector_seconds)


@contextmanager
def _both_services(redis: RunningProgram) -> Iterator[tuple[RunningProgram, RunningProgram]]:
    """Runs a service without event log and one with it, for the duration of a `with` block."""
    with (
        running_service(EXAMPLE, redis) as without,
        running_service(EXAMPLE, redis, EVENT_LOG="on") as with_log,
    ):
        yield without, with_log


def _cpu_us(
    services: tuple[RunningProgram, RunningProgram],
    item_ids: Sequence[str],
    turns: int,
    seconds: float,
) -> tuple[float, float]:
    """Returns the CPU time of each of two services for a request, in µs: the median of its turns.

    The services take turns, and each of them comes first in every other turn.
    """
    costs: list[list[float]] = [[], []]
    for turn in range(turns):
        for at in (0, 1) if turn % 2 else (1, 0):
            costs[at].append(_cpu_us_of(services[at], item_ids, seconds))
    return statistics.median(costs[0]), statistics.median(costs[1])


def _cpu_us_of(service: RunningProgram, item_ids: Sequence[str], seconds: float) -> float:
    """Returns the CPU time of a service for a request, in µs."""
    clicks = regulars(item_ids, round(seconds * _REQUESTS_A_SECOND))
    plan = closed_loop(clicks, SERVICE, service.port, seconds=seconds, connections=_CONNECTIONS)
    before = service.cpu_seconds()
    outcome = run_in_process(plan)
    return (service.cpu_seconds() - before) * 1e6 / outcome.num_sent


def _steady_p99(
    redis: RunningProgram, service: RunningProgram, item_ids: Sequence[str], seconds: float
) -> float:
    """Returns the p99 of latency at `RATE` requests a second, in ms, measured from the due time."""
    fill_regulars(redis.port, service.port, SERVICE, item_ids)
    due = even(RATE, WARM_UP_SECONDS + seconds)
    clicks = regulars(item_ids, len(due))
    outcome = run_in_process(open_loop(clicks, SERVICE, service.port, due, WARM_UP_SECONDS))
    if outcome.num_failed:
        raise RuntimeError(f"requests failed: {outcome.failures}")
    return outcome.percentile(99)


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
