"""A constant rate, and the highest one that the service keeps up with.

Serenade's bar (SIGMOD 2022): 1,000 requests/s on two cores, p90 < 7 ms. Here service, Redis and
load generator share the cores, and each request appends, reads, infers, masks and answers.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.load.generator import run_apart
from benchmarks.load.plan import Outcome, Plan, Times, even, poisson
from benchmarks.load.workloads import (
    SERVICE,
    closed,
    open_loop,
    regulars,
    settle_regulars,
    visitors,
)
from benchmarks.options import Setting
from benchmarks.results.figures import Figure, Findings, kinds_of_failure
from benchmarks.subjects.processes import Running, running_redis, running_service
from benchmarks.subjects.subject import Subject, make_subject

RATE = 1_000
MOST_RATE = 8_000  # no closed loop here is faster
P99_MS = 20.0
WARM_UP_SECONDS = 1.0
PERCENTILES = (50, 90, 99)
# Of the rate that a closed loop reaches; a server that answers all of it has no time left to wait.
SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
SHARES_QUICK = (0.6, 1.0)


@dataclass(frozen=True)
class Run:
    """A load, and what the processes beside it spent meanwhile."""

    outcome: Outcome
    service_us: float
    redis_us: float


@dataclass(frozen=True)
class Stage:
    """The running parts."""

    subject: Subject
    service: Running
    redis: Running

    def settle(self) -> None:
        """Starts from the same histories again."""
        settle_regulars(self.redis.port, self.service.port, SERVICE, self.subject.item_ids)

    def at(self, due: Times, *, new_visitors: bool = False) -> Run:
        """Clicks at those moments."""
        make = visitors if new_visitors else regulars
        clicks = make(self.subject.item_ids, len(due))
        return self._run(open_loop(clicks, SERVICE, self.service.port, due, WARM_UP_SECONDS))

    def saturated(self, seconds: float) -> Run:
        """Clicks as fast as they are answered."""
        clicks = regulars(self.subject.item_ids, round(seconds * MOST_RATE))
        return self._run(
            closed(clicks, SERVICE, self.service.port, seconds=seconds, connections=16)
        )

    def _run(self, plan: Plan) -> Run:
        service, redis = self.service.cpu_seconds(), self.redis.cpu_seconds()
        outcome = run_apart(plan)
        per_request = 1e6 / outcome.num_sent
        return Run(
            outcome,
            service_us=(self.service.cpu_seconds() - service) * per_request,
            redis_us=(self.redis.cpu_seconds() - redis) * per_request,
        )


def measure(setting: Setting) -> Findings:
    """Runs the loads; see the module."""
    subject = make_subject(setting)
    with running_redis() as redis, running_service(subject.bundle, redis) as service:
        stage = Stage(subject, service, redis)
        seconds, count = setting.either(60, 4), round(setting.either(3, 1))
        constant = [run for _ in range(count) for run in _after_settling(stage, seconds)]
        bursts = stage.at(poisson(RATE, WARM_UP_SECONDS + seconds / 4, np.random.default_rng(0)))
        coming = stage.at(even(RATE, WARM_UP_SECONDS + seconds / 4), new_visitors=True)
        sweep = _sweeps(stage, setting)
    return Findings(
        figures=(
            *_latencies(constant, "regulars"),
            *_latencies([coming], "visitors"),
            *_latencies([bursts], "regulars at random moments"),
            highest(sweep),
            _figure("service CPU", "µs/request", [run.service_us for run in constant]),
            _figure("Redis CPU", "µs/request", [run.redis_us for run in constant]),
            _figure(
                "load generator CPU",
                "µs/request",
                [run.outcome.client_cpu_us for run in constant],
            ),
            _figure(
                "load generator late, p99", "ms", [run.outcome.sent_late * 1e3 for run in constant]
            ),
        ),
        conditions={
            "rate": RATE,
            "seconds": seconds,
            "bundle": subject.origin,
            "regulars": "2,000 sessions of 50 items and more, filled before the run",
            "visitors": "power-law sessions, 1,000 open at once",
            "failures": kinds_of_failure(
                run.outcome.failures for run in (*constant, bursts, coming)
            ),
            "where": "service (one worker), Redis over TCP and load generator on the same cores",
        },
        series={
            "percentiles": _distribution(constant[-1].outcome),
            "sweep": sweep[-1],
        },
    )


def _after_settling(stage: Stage, seconds: float) -> Iterator[Run]:
    stage.settle()
    yield stage.at(even(RATE, WARM_UP_SECONDS + seconds))


def _sweeps(stage: Stage, setting: Setting) -> list[list[dict[str, float]]]:
    if setting.is_quick:
        return [_sweep(stage, 1, SHARES_QUICK)]
    return [_sweep(stage, 3, SHARES) for _ in range(2)]


def _sweep(stage: Stage, seconds: float, shares: Sequence[float]) -> list[dict[str, float]]:
    """Latencies at rising rates, up to the first that is not kept up with."""
    stage.settle()
    most, steps = stage.saturated(seconds).outcome.rate, list[dict[str, float]]()
    for share in shares:
        rate = share * most
        outcome = stage.at(even(rate, WARM_UP_SECONDS + seconds)).outcome
        percentiles = {f"p{each}": outcome.percentile(each) for each in PERCENTILES}
        steps.append({"rate": rate, "failures": outcome.num_failed, **percentiles})
        if not kept_up(steps[-1]):
            break
    return steps


def kept_up(step: Mapping[str, float]) -> bool:
    """Whether a step of a sweep keeps its p99, without a failure."""
    return step["p99"] < P99_MS and not step["failures"]


def highest(sweeps: Sequence[Sequence[Mapping[str, float]]]) -> Figure:
    """The highest rate of each sweep that was kept up with; 0 of none."""
    runs = [max((each["rate"] for each in sweep if kept_up(each)), default=0) for sweep in sweeps]
    return _figure(f"highest rate with p99 < {P99_MS:.0f} ms", "requests/s", runs)


def _latencies(runs: list[Run], who: str) -> Iterator[Figure]:
    bars = {90: 7.0, 99: P99_MS}
    for percentile in PERCENTILES:
        yield Figure(
            name=f"p{percentile} at {RATE:,} requests/s, {who}",
            unit="ms",
            runs=tuple(run.outcome.percentile(percentile) for run in runs),
            at_most=bars.get(percentile),
        )
    failed = tuple(float(run.outcome.num_failed) for run in runs)
    yield Figure(name=f"failed requests, {who}", unit="", runs=failed, at_most=0)


def _distribution(outcome: Outcome) -> Mapping[str, list[float]]:
    shares = [50, 75, 90, 95, 99, 99.5, 99.9, 100]
    return {"share": shares, "ms": [outcome.percentile(each) for each in shares]}


def _figure(name: str, unit: str, runs: list[float]) -> Figure:
    return Figure(name=name, unit=unit, runs=tuple(runs))
