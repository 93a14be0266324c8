"""Measures how the resident memory of the service grows over a million requests of visitors."""

import statistics

from matplotlib.axes import Axes

from benchmarks.load.generator import run_in_process
from benchmarks.load.workloads import SERVICE, closed_loop, visitors
from benchmarks.options import Options
from benchmarks.results.figures import Figure, Findings, Report, sum_failures
from benchmarks.results.plots import BLUE
from benchmarks.subjects.processes import running_redis, running_service
from benchmarks.subjects.subject import make_subject
from training.progress import ProgressBar

NUM_REQUESTS = 1_000_000
NUM_REQUESTS_QUICK = 10_000
NUM_PARTS = 20
CONNECTIONS = 64  # gives the highest throughput of one worker
MAX_GROWTH_MIB = 8.0


def measure(options: Options) -> Findings:
    """Sends requests in twenty parts, and reads the memory of the service after each part."""
    subject = make_subject(options)
    count = options.pick(NUM_REQUESTS, quick=NUM_REQUESTS_QUICK) // NUM_PARTS
    resident_mib, failures, rates = [], [], []
    with (
        running_redis() as redis,
        running_service(subject.bundle, redis) as service,
        ProgressBar("memory", count * NUM_PARTS, "request") as bar,
    ):
        for part in range(NUM_PARTS):
            clicks = visitors(subject.item_ids, count, part)
            outcome = run_in_process(
                closed_loop(clicks, SERVICE, service.port, connections=CONNECTIONS)
            )
            failures.append(outcome.failures)
            rates.append(outcome.rate)
            resident_mib.append(service.resident_mib())
            bar.advance(count)
    fifth = NUM_PARTS // 5
    settled, last = resident_mib[fifth : 2 * fifth], resident_mib[-fifth:]
    failed = sum_failures(failures)
    growth = statistics.median(last) - statistics.median(settled)
    return Findings(
        figures=(
            Figure(
                name="growth from the second to the last fifth",
                unit="MiB",
                runs=(growth,),
                at_most=MAX_GROWTH_MIB,
            ),
            Figure(name="visitors answered, saturated", unit="/s", runs=tuple(rates)),
            Figure(name="largest", unit="MiB", runs=(max(resident_mib),), at_most=300),
            Figure(name="failed requests", unit="", runs=(float(sum(failed.values())),), at_most=0),
        ),
        conditions={
            "requests": count * NUM_PARTS,
            "bundle": subject.origin,
            "workers": 1,
            "connections": CONNECTIONS,
            "failures": failed,
        },
        series={
            "requests": [count * (part + 1) for part in range(NUM_PARTS)],
            "resident_mib": resident_mib,
        },
    )


def draw(axes: Axes, report: Report) -> None:
    """Plots resident memory against the number of answered requests."""
    axes.plot(report.series["requests"], report.series["resident_mib"], "o-", color=BLUE)
    highest = 1.2 * max(report.series["resident_mib"])
    axes.set(xlabel="requests answered", ylabel="MiB resident", ylim=(0, highest))
    axes.ticklabel_format(axis="x", style="plain")
    axes.set_title("memory of one worker")
