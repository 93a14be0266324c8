"""Compares the CPU time of a request with event log and impressions with that of one without.

Two services on one Redis, one of them with `EVENT_LOG=on`, get the same clicks of sessions with 50
items, as fast as they answer. They take turns. Then the one with the log gets 1,000 requests a
second, and a collector fetches what is in the log.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from resource import RUSAGE_CHILDREN, getrusage
from tempfile import TemporaryDirectory

from benchmarks.load.generator import run_in_process
from benchmarks.load.plan import even
from benchmarks.load.workloads import RATE, SERVICE, closed_loop, fill_regulars, open_loop, regulars
from benchmarks.measures.constant_rate import P99_MS
from benchmarks.subjects.cost_pairs import median_interval
from benchmarks.subjects.loaded_service import WARM_UP_SECONDS
from benchmarks.subjects.processes import RunningProgram, running_redis, running_service
from proofs.fixtures.film_teacher import FILMS
from proofs.record import Figure
from training.events.log_folder import LogFolder
from training.events.reading import read_copies

AT_MOST = 1.15
_CONNECTIONS = 16
_REQUESTS_A_SECOND = 8_000  # more than a worker answers


def prove(
    *, pairs: int = 45, seconds: float = 1.0, steady_seconds: float = 30.0
) -> Iterator[Figure]:
    """Measures the CPU time of both services in turns, then latency at a constant rate.

    Args:
        pairs: number of turns.
        seconds: time of a measurement of CPU time.
        steady_seconds: time of the measurement at a constant rate.
    """
    lines = (FILMS / "items.jsonl").read_text(encoding="utf-8").splitlines()
    item_ids = [json.loads(line)["item_id"] for line in lines]
    runs: dict[str, list[float]] = {"without": [], "with": []}
    with (
        running_redis() as redis,
        running_service(FILMS, redis) as without,
        running_service(FILMS, redis, EVENT_LOG="on") as with_log,
    ):
        services = [("without", without), ("with", with_log)]
        for number in range(pairs):
            for name, service in services[:: 1 if number % 2 else -1]:
                runs[name].append(_cpu_us(redis, service, item_ids, seconds))
        p99 = _steady_p99(redis, with_log, item_ids, steady_seconds)
        records, collector_seconds = _collected(redis)
    ratios = [b / a for a, b in zip(runs["without"], runs["with"], strict=True)]
    low, high = median_interval(ratios)
    for name, costs in runs.items():
        yield Figure(f"request {name} event log", "µs CPU", statistics.median(costs))
    yield Figure("with over without", "times", statistics.median(ratios), low, high)
    yield Figure("with over without, upper end", "times", high, at_most=AT_MOST)
    yield Figure(f"p99 with event log at {RATE:,} requests/s", "ms", p99, at_most=P99_MS)
    yield Figure("collected records", "records", records)
    yield Figure("collected by one core, start included", "records/s", records / collector_seconds)


def _cpu_us(
    redis: RunningProgram, service: RunningProgram, item_ids: Sequence[str], seconds: float
) -> float:
    """Returns the CPU time of the service for a request, in µs."""
    fill_regulars(redis.port, service.port, SERVICE, item_ids)
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
