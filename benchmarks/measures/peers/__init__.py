"""Compares the service with its peers: other servers that serve the same graph.

All of them run on the same machine, with the same clicks and the same Redis. Each server has one
worker, which a closed loop saturates. The servers take turns, every second round in the opposite
order; answers per second and latency are compared.

LitServe and BentoML can gather requests into batches, and are asked with and without. The settings
of their batches are searched on the machine before the rounds, for the most answers per second with
a p99 below `SEARCH_P99_MS`.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from matplotlib.axes import Axes

from benchmarks.load.generator import run_in_process
from benchmarks.load.plan import Outcome
from benchmarks.load.turns import take_turns
from benchmarks.load.workloads import SERVICE, closed_loop, fill_regulars, regulars
from benchmarks.measures.peers.servers import PEERS, Batching
from benchmarks.options import Options
from benchmarks.results.figures import Figure, Findings, Report, sum_failures
from benchmarks.results.plots import BLUE, GRAY, GREEN
from benchmarks.subjects.processes import RunningProgram, running_redis, running_service
from benchmarks.subjects.subject import Subject, make_subject

CONNECTIONS = 16
MAX_RATE = 8_000  # requests per second; more than any of the servers reaches
WARM_UP_SECONDS = 1.0
SEARCH_SECONDS = 2.0  # for each setting that is tried
SEARCH_P99_MS = 20.0
OURS = "this service"

Ask = Callable[[str, Batching | None, float], Outcome]
"""Starts a server by name, with a setting of its batches, and saturates it for some seconds."""


def measure(options: Options) -> Findings:
    """Measures answers per second and latency of each saturated server, in several rounds."""
    subject = make_subject(options)
    rounds, seconds = options.pick(3, quick=1), options.pick(4, quick=1)
    with running_redis() as redis:
        ask = partial(_saturate, subject, redis, options)
        tried = {name: _search(name, ask, options) for name in PEERS if PEERS[name].settings}
        chosen = {name: best_batching(of_name) for name, of_name in tried.items()}
        ways = {name: partial(ask, name, chosen.get(name), seconds) for name in (OURS, *PEERS)}
        outcomes = take_turns(ways, rounds)
    return Findings(
        figures=tuple(_figures(outcomes)),
        conditions={
            "connections": CONNECTIONS,
            "seconds": seconds,
            "workload": "regulars: sessions of 50 items and more",
            "bundle": subject.origin,
            "failures": {
                name: sum_failures(each.failures for each in of_name)
                for name, of_name in outcomes.items()
            },
            "servers": {name: peer.description for name, peer in PEERS.items()},
            "batches": {name: str(each) for name, each in chosen.items()},
            "tried": {
                name: {str(each): _summary(outcome) for each, outcome in of_name.items()}
                for name, of_name in tried.items()
            },
        },
        series={
            name: {
                "rate": [each.rate for each in of_name],
                "p50": [each.percentile(50) for each in of_name],
                "p99": [each.percentile(99) for each in of_name],
            }
            for name, of_name in outcomes.items()
        },
    )


def draw(axes: Axes, report: Report) -> None:
    """Draws a bar of answers per second for each server, and writes its p99 beside the bar."""
    names = [*report.series][::-1]
    for place, name in enumerate(names):
        rates = report.series[name]["rate"]
        colour = GREEN if name == OURS else GRAY
        axes.barh(place, statistics.median_high(rates), color=colour)
        axes.plot(rates, [place] * len(rates), "|", color=BLUE)
        p99 = statistics.median_high(report.series[name]["p99"])
        axes.annotate(f"  p99 {p99:.0f} ms", (max(rates), place), va="center", fontsize=8)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="answers a second, one worker, saturated")
    axes.margins(x=0.2)
    axes.set_title("the same graph behind other servers")


def best_batching(tried: Mapping[Batching, Outcome]) -> Batching:
    """Returns the setting of batches with the most answers per second.

    Settings with a failed request count only if all have some, and those with a p99 of
    `SEARCH_P99_MS` and more only if all others do, too.
    """

    def merit(setting: Batching) -> tuple[bool, bool, float]:
        outcome = tried[setting]
        return not outcome.num_failed, outcome.percentile(99) < SEARCH_P99_MS, outcome.rate

    return max(tried, key=merit)


def _search(name: str, ask: Ask, options: Options) -> Mapping[Batching, Outcome]:
    settings = options.pick(PEERS[name].settings, quick=PEERS[name].settings[-1:])
    return {each: ask(name, each, SEARCH_SECONDS) for each in settings}


def _summary(outcome: Outcome) -> str:
    failed = f", {outcome.num_failed:,} failed" if outcome.num_failed else ""
    return f"{outcome.rate:,.0f}/s, p99 {outcome.percentile(99):.1f} ms{failed}"


def _saturate(
    subject: Subject,
    redis: RunningProgram,
    options: Options,
    name: str,
    batching: Batching | None,
    seconds: float,
) -> Outcome:
    endpoint = SERVICE if name == OURS else PEERS[name].endpoint
    start = (
        running_service(subject.bundle, redis)
        if name == OURS
        else PEERS[name].start(subject, redis, options, batching)
    )
    with start as server:
        fill_regulars(redis.port, server.port, endpoint, subject.item_ids)
        clicks = regulars(subject.item_ids, round((WARM_UP_SECONDS + seconds) * MAX_RATE))
        return run_in_process(
            closed_loop(
                clicks,
                endpoint,
                server.port,
                seconds=WARM_UP_SECONDS + seconds,
                connections=CONNECTIONS,
                warm_up_seconds=WARM_UP_SECONDS,
            )
        )


def _figures(outcomes: Mapping[str, list[Outcome]]) -> Iterator[Figure]:
    ours, peers = outcomes[OURS], {name: outcomes[name] for name in PEERS}
    best = max(peers, key=lambda name: statistics.median(each.rate for each in peers[name]))
    pairs = list(zip(ours, peers[best], strict=True))
    yield Figure(
        name=f"throughput over the best peer's ({best})",
        unit="times",
        runs=tuple(mine.rate / its.rate for mine, its in pairs),
        at_least=2,
    )
    yield Figure(
        name=f"p99 over that of {best}",
        unit="times",
        runs=tuple(mine.percentile(99) / its.percentile(99) for mine, its in pairs),
        at_most=1,
    )
    for name, of_name in outcomes.items():
        for figure, unit, runs in (
            ("answers", "/s", [each.rate for each in of_name]),
            ("p50", "ms", [each.percentile(50) for each in of_name]),
            ("p99", "ms", [each.percentile(99) for each in of_name]),
        ):
            yield Figure(name=f"{figure}, {name}", unit=unit, runs=tuple(runs))
        failed = tuple(float(each.num_failed) for each in of_name)
        yield Figure(name=f"failed requests, {name}", unit="", runs=failed, at_most=0)
