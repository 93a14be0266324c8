"""Measures how the resident memory of the service grows over a million requests of visitors.

The growth is a slope, in bytes per request, over the last half of the requests: what begins with
the first ones, such as the allocator's arenas and small caches, has settled by then. What still
grows is a leak, or a cache that so many requests do not fill. The standard error says what can be
told: the samples stray around the line by a tenth of a MiB or so. Each part opens new connections
and begins new sessions, so what these leave behind counts as well.
"""

from collections.abc import Sequence

import numpy as np
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
MAX_GROWTH = 1.0  # bytes per request: 86 MiB in a day of 1,000 requests per second
BYTES_OF_MIB = 2**20


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
    requests = [count * (part + 1) for part in range(NUM_PARTS)]
    failed = sum_failures(failures)
    growth, error = growth_of_last_half(requests, resident_mib)
    return Findings(
        figures=(
            Figure(
                name="growth over the last half",
                unit="B/request",
                runs=(growth,),
                # A quick run ends before the memory has settled.
                at_most=options.pick(MAX_GROWTH, quick=None),
            ),
            Figure(name="standard error of the growth", unit="B/request", runs=(error,)),
            Figure(name="visitors answered, saturated", unit="/s", runs=tuple(rates)),
            Figure(name="largest", unit="MiB", runs=(max(resident_mib),), at_most=300),
            Figure(name="failed requests", unit="", runs=(float(sum(failed.values())),), at_most=0),
        ),
        conditions={
            "requests": count * NUM_PARTS,
            "parts": NUM_PARTS,
            "bundle": subject.origin,
            "workers": 1,
            "connections": CONNECTIONS,
            "failures": failed,
        },
        series={"requests": requests, "resident_mib": resident_mib},
    )


def growth_of_last_half(
    requests: Sequence[int], resident_mib: Sequence[float]
) -> tuple[float, float]:
    """Fits a line to the later half of the samples, by least squares.

    Args:
        requests: `[samples]`, number of requests answered before each sample, ascending.
        resident_mib: `[samples]`, resident memory in MiB.

    Returns:
        The slope and its standard error, in bytes per request.
    """
    half = len(requests) // 2
    x = np.array(requests[half:], dtype=float)
    y = np.array(resident_mib[half:]) * BYTES_OF_MIB
    from_mean = x - x.mean()
    spread = float(from_mean @ from_mean)
    slope = float(from_mean @ y) / spread
    residuals = y - y.mean() - slope * from_mean
    return slope, float(np.sqrt(residuals @ residuals / (len(x) - 2) / spread))


def draw(axes: Axes, report: Report) -> None:
    """Plots resident memory against the number of answered requests."""
    axes.plot(report.series["requests"], report.series["resident_mib"], "o-", color=BLUE)
    highest = 1.2 * max(report.series["resident_mib"])
    axes.set(xlabel="requests answered", ylabel="MiB resident", ylim=(0, highest))
    axes.ticklabel_format(axis="x", style="plain")
    axes.set_title("memory of one worker")
