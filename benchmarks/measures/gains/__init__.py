"""Measures what two measures save: the fast lane, and serving requests that are ready together.

The same service answers the same clicks in three ways, which take turns:

- 16 at once through the fast lane, as in other benchmarks;
- 16 at once through FastAPI, which gets a request with a percent-encoded path;
- one at a time through the fast lane, so that no request shares an inference or a write to Redis.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from matplotlib.axes import Axes

from benchmarks.load.clicks import Click
from benchmarks.load.turns import take_turns
from benchmarks.load.workloads import HISTORY_LENGTH, SERVICE, K
from benchmarks.options import Options
from benchmarks.results.figures import Figure, Findings, Report
from benchmarks.results.plots import BLUE, GRAY, GREEN
from benchmarks.subjects.loaded_service import LoadedService
from benchmarks.subjects.processes import running_redis, running_service
from benchmarks.subjects.subject import make_subject

TOGETHER = "16 at once, fast lane"
THROUGH_FASTAPI = "16 at once, through FastAPI"
ONE_AT_A_TIME = "one at a time, fast lane"

IN_QUICK_RUN = False  # none of its figures has a target

Costs = Mapping[str, Sequence[float]]
"""Maps a way to the CPU times of a request in µs, one per round."""


def measure(options: Options) -> Findings:
    """Measures the CPU time of a request in all three ways, in several rounds."""
    subject, seconds = make_subject(options), options.pick(2.0, quick=0.5)
    with running_redis() as redis, running_service(subject.bundle, redis) as service:
        plain = LoadedService(subject, service, redis)
        slow = LoadedService(subject, service, redis, replace(SERVICE, request_of=past_the_lane))
        ways = {
            TOGETHER: lambda: plain.run_saturated(seconds).cost(),
            THROUGH_FASTAPI: lambda: slow.run_saturated(seconds).cost(),
            ONE_AT_A_TIME: lambda: plain.run_saturated(seconds, connections=1).cost(),
        }
        plain.reset_histories()
        costs = take_turns(ways, options.pick(9, quick=2))
    return Findings(
        figures=tuple(figures(costs)),
        conditions={"history": HISTORY_LENGTH, "k": K, "bundle": subject.origin},
    )


def draw(axes: Axes, report: Report) -> None:
    """Draws a bar of CPU time for each way, with a mark for each run."""
    figures = {each.name: each for each in report.figures}
    names = (ONE_AT_A_TIME, THROUGH_FASTAPI, TOGETHER)
    for place, name in enumerate(names):
        axes.barh(place, figures[name].value, color=GREEN if name == TOGETHER else GRAY)
        axes.plot(figures[name].runs, [place] * len(figures[name].runs), "|", color=BLUE)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="µs of CPU per request")
    axes.set_title("what the fast lane and requests at once save")


def past_the_lane(click: Click) -> bytes:
    """Encodes a click as a request that the fast lane leaves to FastAPI: its path has a `%2D`."""
    return SERVICE.request_of(click).replace(b"regular-", b"regular%2D", 1)


def figures(costs: Costs) -> Iterator[Figure]:
    """Yields the CPU time of each way, and those of the other two over that of `TOGETHER`."""
    for name, runs in costs.items():
        yield Figure(name=name, unit="µs CPU", runs=tuple(runs))
    for name in (THROUGH_FASTAPI, ONE_AT_A_TIME):
        pairs = zip(costs[name], costs[TOGETHER], strict=True)
        ratios = tuple(other / together for other, together in pairs)
        yield Figure(name=f"{name}, over {TOGETHER}", unit="times", runs=ratios)
