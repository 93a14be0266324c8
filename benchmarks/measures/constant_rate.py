"""Measures latency at a constant rate, and the highest rate that the service keeps up with.

The target is what Serenade reports (SIGMOD 2022): p90 below 7 ms at 1,000 requests/s on two cores.
Here service, Redis and load generator share the cores. For each request the service appends an item
to a history, reads the history, ranks, and answers.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from benchmarks.load.plan import Outcome, even, poisson
from benchmarks.load.workloads import RATE
from benchmarks.options import Options
from benchmarks.results.figures import Figure, Findings, Report, sum_failures
from benchmarks.results.plots import BLUE, GRAY, ORANGE
from benchmarks.subjects.loaded_service import WARM_UP_SECONDS, LoadedService, LoadRun
from benchmarks.subjects.processes import running_redis, running_service
from benchmarks.subjects.subject import make_subject

P99_MS = 20.0
PERCENTILES = (50, 90, 99)

Step = Mapping[str, float]
"""The outcome of one attempt at a rate: the rate, the failed requests, and percentiles in ms."""

NUM_SWEEPS = 3
ATTEMPTS = 2  # at each rate of a sweep: a stall of the machine must not end the sweep
# Rates of a sweep, as shares of the rate of a closed loop, in which the server is never idle.
SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
SHARES_QUICK = (0.6, 1.0)


def measure(options: Options) -> Findings:
    """Runs each workload at the constant rate, then raises the rate until p99 misses its target."""
    subject = make_subject(options)
    with running_redis() as redis, running_service(subject.bundle, redis) as service:
        loaded_service = LoadedService(subject, service, redis)
        seconds = options.pick(60, quick=4)
        constant = [
            _run_regulars(loaded_service, WARM_UP_SECONDS + seconds)
            for _ in range(options.pick(3, quick=1))
        ]
        short = WARM_UP_SECONDS + seconds / 4
        random = loaded_service.run_at(poisson(RATE, short, np.random.default_rng(0)))
        new_visitors = loaded_service.run_at(even(RATE, short), new_visitors=True)
        sweeps = _sweeps(loaded_service, options)
    return Findings(
        figures=(
            *_latencies(constant, "regulars"),
            *_latencies([new_visitors], "visitors"),
            *_latencies([random], "regulars at random moments"),
            highest_rate(sweeps),
            repeated_rates(sweeps),
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
            "seconds of visitors and random moments": seconds / 4,
            "bundle": subject.origin,
            "regulars": "2,000 sessions of 50 items and more, filled before the run",
            "visitors": "power-law sessions, 1,000 open at once",
            "failures": sum_failures(
                run.outcome.failures for run in (*constant, random, new_visitors)
            ),
            "where": "service (one worker), Redis over TCP and load generator on the same cores",
        },
        series={
            "percentiles": _distribution(constant[-1].outcome),
            "sweeps": sweeps,
        },
    )


def draw(axes: Axes, report: Report) -> None:
    """Plots latency percentiles against the request rate, for all sweeps.

    A cross marks an attempt at a rate that the service did not keep up with.
    """
    series = report.series  # reports of before have their last sweep alone
    for number, each in enumerate(series.get("sweeps") or [series["sweep"]]):
        kept, failed = _split(each)
        for name, colour in (("p50", GRAY), ("p90", BLUE), ("p99", ORANGE)):
            label = None if number else name
            axes.plot(*_points(kept, name), "o-", color=colour, label=label, alpha=0.7)
            axes.plot(*_points(failed, name), "x", color=colour, alpha=0.7)
    axes.axhline(P99_MS, color=ORANGE, linewidth=0.8, linestyle=":")
    axes.set(yscale="log", xlabel="requests a second", ylabel="ms from the intended time")
    axes.set_title("append, read, infer, mask, answer: latency by constant rate")
    axes.legend(frameon=False, loc="best")


def _run_regulars(loaded_service: LoadedService, seconds: float) -> LoadRun:
    loaded_service.reset_histories()
    return loaded_service.run_at(even(RATE, seconds))


def _split(sweep: Sequence[Step]) -> tuple[Sequence[Step], Sequence[Step]]:
    """Returns the attempts that the service kept up with, and those that it did not."""
    return [each for each in sweep if keeps_up(each)], [
        each for each in sweep if not keeps_up(each)
    ]


def _points(steps: Sequence[Step], name: str) -> tuple[list[float], list[float]]:
    return [each["rate"] for each in steps], [each[name] for each in steps]


def _sweeps(loaded_service: LoadedService, options: Options) -> list[list[Step]]:
    seconds, shares = options.pick((3.0, SHARES), quick=(1.0, SHARES_QUICK))
    return [
        _sweep(loaded_service, seconds, shares) for _ in range(options.pick(NUM_SWEEPS, quick=1))
    ]


def _sweep(loaded_service: LoadedService, seconds: float, shares: Sequence[float]) -> list[Step]:
    loaded_service.reset_histories()
    saturated = loaded_service.run_saturated(seconds).outcome.rate

    def attempt(rate: float) -> Step:
        outcome = loaded_service.run_at(even(rate, WARM_UP_SECONDS + seconds)).outcome
        percentiles = {f"p{each}": outcome.percentile(each) for each in PERCENTILES}
        return {"rate": rate, "failures": outcome.num_failed, **percentiles}

    return sweep(attempt, [share * saturated for share in shares])


def sweep(attempt: Callable[[float], Step], rates: Iterable[float]) -> list[Step]:
    """Measures latency percentiles at rising rates, until the service does not keep up.

    A rate that the service does not keep up with is tried again, `ATTEMPTS` times in all, before
    the sweep ends.

    Returns:
        One step per attempt.
    """
    steps = list[Step]()
    for rate in rates:
        for _ in range(ATTEMPTS):
            steps.append(attempt(rate))
            if keeps_up(steps[-1]):
                break
        else:
            break
    return steps


def keeps_up(step: Step) -> bool:
    """Returns whether a step has no failed request, and a p99 below P99_MS milliseconds."""
    return step["p99"] < P99_MS and not step["failures"]


def highest_rate(sweeps: Sequence[Sequence[Step]]) -> Figure:
    """Makes the figure of the highest rate at which the service keeps up; each sweep is one run.

    A run is 0 if the service keeps up at no rate.
    """
    runs = [max((each["rate"] for each in sweep if keeps_up(each)), default=0) for sweep in sweeps]
    return _figure(f"highest rate with p99 < {P99_MS:.0f} ms", "requests/s", runs)


def repeated_rates(sweeps: Sequence[Sequence[Step]]) -> Figure:
    """Makes the figure of how many rates of each sweep the service kept up with only when repeated.

    Each is a stall that would have ended the sweep.
    """
    runs = [
        float(len({each["rate"] for each in failed} & {each["rate"] for each in kept}))
        for kept, failed in map(_split, sweeps)
    ]
    return _figure("rates kept up with at the second attempt only", "", runs)


def _latencies(runs: list[LoadRun], workload: str) -> Iterator[Figure]:
    targets = {90: 7.0, 99: P99_MS}
    for percentile in PERCENTILES:
        yield Figure(
            name=f"p{percentile} at {RATE:,} requests/s, {workload}",
            unit="ms",
            runs=tuple(run.outcome.percentile(percentile) for run in runs),
            at_most=targets.get(percentile),
        )
    failed = tuple(float(run.outcome.num_failed) for run in runs)
    yield Figure(name=f"failed requests, {workload}", unit="", runs=failed, at_most=0)


def _distribution(outcome: Outcome) -> Mapping[str, list[float]]:
    shares = [50, 75, 90, 95, 99, 99.5, 99.9, 100]
    return {"share": shares, "ms": [outcome.percentile(each) for each in shares]}


def _figure(name: str, unit: str, runs: list[float]) -> Figure:
    return Figure(name=name, unit=unit, runs=tuple(runs))
