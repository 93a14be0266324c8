"""Compares the CPU time of a request with that of one inference and one Redis round trip alone.

With `--against CHECKOUT`, compares it instead with the CPU time of a request in another checkout,
such as the commit before. Both services have API keys, are started anew for every pair, and are
saturated by turns.

The sessions have 50 items. The bare parts are what a plain program would do for one request: one
run of the common-case graph on such a history, and one Redis round trip of redis-py (append, trim,
expire, read). A saturated service is compared with bare parts in a tight loop. A service with a
thousand requests per second is compared with bare parts that also run a thousand times per second.

The bare parts are no lower bound. They serve one request at a time, while requests that are ready
together share an inference and a write to Redis in the service, whose connection also costs less
than redis-py. So a ratio below 1 is possible; it says how a request compares with plain calls, not
how much of it is overhead.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from redis import Redis

from benchmarks.load.cpu_time import cpu_us, paced_cpu_us
from benchmarks.load.plan import even
from benchmarks.load.workloads import HISTORY_LENGTH, RATE, K
from benchmarks.options import Options
from benchmarks.results.figures import Figure, Findings
from benchmarks.results.intervals import interval_figures
from benchmarks.subjects.bare_graph import common_case_run
from benchmarks.subjects.cost_pairs import NUM_PAIRS, measure_pairs
from benchmarks.subjects.loaded_service import WARM_UP_SECONDS, LoadedService
from benchmarks.subjects.processes import RunningProgram, running_redis, running_service
from benchmarks.subjects.redis_round_trip import redis_py_round_trip, socket_round_trip
from benchmarks.subjects.subject import Subject, make_subject
from export.contract.bundle import BundleLayout
from training.provenance import commit

GRAPH, REDIS_PY, SOCKET = "bare graph", "bare Redis, redis-py", "bare Redis, socket"
TIGHT, PACED = "bare graph + bare Redis", f"bare graph + bare Redis, {RATE:,} a second"
KEYS = {REDIS_PY: "bare:redis-py", SOCKET: "bare:socket"}

MAX_RATIO = 1.05
"""Target of `--against`: how much more CPU time a request may take than in the other checkout."""

Costs = Mapping[str, float]
"""Maps the name of a measured function to its CPU time in microseconds."""


def measure(options: Options) -> Findings:
    """Measures the CPU time of the bare parts and of a new service in each of several rounds."""
    if options.against is not None:
        return _against(options, options.against)
    subject, seconds = make_subject(options), WARM_UP_SECONDS + options.pick(4, quick=1)
    with running_redis() as redis, Redis(port=redis.port, decode_responses=True) as client:
        parts = _bare_parts(subject, redis, client)
        rounds = [
            _round(subject, redis, client, parts, seconds) for _ in range(options.pick(5, quick=1))
        ]
    bare = [each.bare for each in rounds]
    paced, saturated = [each.paced for each in rounds], [each.saturated for each in rounds]
    return Findings(
        figures=(
            *(_figure(name, [each[name] for each in bare]) for name in (*parts, TIGHT, PACED)),
            _figure(f"service at {RATE:,} requests/s", paced),
            _figure("service, saturated", saturated),
            _ratio(f"service at {RATE:,} requests/s", paced, PACED, bare, at_most=2),
            _ratio("service, saturated,", saturated, TIGHT, bare, at_most=2),
            _ratio(f"service at {RATE:,} requests/s", paced, TIGHT, bare),
        ),
        conditions={
            "history": HISTORY_LENGTH,
            "k": K,
            "bundle": subject.origin,
            "service": "started anew in every round",
            "bare": "one history at a time, redis-py; no lower bound",
        },
    )


@dataclass(frozen=True)
class Round:
    """CPU times of a request in µs: of the bare parts, and of a service that was started for it."""

    bare: Costs
    paced: float
    saturated: float


def _round(
    subject: Subject,
    redis: RunningProgram,
    client: Redis,
    parts: Mapping[str, Callable[[], object]],
    seconds: float,
) -> Round:
    with running_service(subject.bundle, redis) as service:
        loaded_service = LoadedService(subject, service, redis)
        loaded_service.reset_histories()
        for key in KEYS.values():
            client.rpush(key, *["an-item"] * HISTORY_LENGTH)
        return Round(
            bare=_time_parts(parts, seconds),
            paced=loaded_service.run_at(even(RATE, seconds)).cost(),
            saturated=loaded_service.run_saturated(seconds).cost(),
        )


def _against(options: Options, other_root: Path) -> Findings:
    subject, other_commit = make_subject(options), commit(other_root)
    seconds = options.pick(3.0, quick=1.0)
    pairs = measure_pairs(subject, other_root.resolve(), seconds)
    ratio = "service, saturated, over the other checkout"
    return Findings(
        figures=(
            _figure("service, saturated", pairs.ours),
            _figure("service of the other checkout, saturated", pairs.others),
            Figure(name=ratio, unit="times", runs=pairs.ratios),
            *interval_figures(ratio, pairs.ratios, MAX_RATIO),
        ),
        conditions={
            "other checkout": other_commit,
            "pairs": NUM_PAIRS,
            "services": "both started anew for every pair",
            "seconds": seconds,
            "k": K,
            "bundle": subject.origin,
        },
    )


def _bare_parts(
    subject: Subject, redis: RunningProgram, client: Redis
) -> Mapping[str, Callable[[], object]]:
    run_graph = common_case_run(BundleLayout(subject.bundle).common_case)
    generator = np.random.default_rng(0)
    history = generator.integers(1, len(subject.item_ids) + 1, HISTORY_LENGTH).tolist()
    return {
        GRAPH: lambda: run_graph(history, K),
        REDIS_PY: redis_py_round_trip(client, KEYS[REDIS_PY]),
        SOCKET: socket_round_trip(client, redis.port, KEYS[SOCKET]),
    }


def _time_parts(parts: Mapping[str, Callable[[], object]], seconds: float) -> Costs:
    """Returns the CPU time of each bare part, and of graph and Redis together.

    Both together are measured in a tight loop (`TIGHT`) and at RATE calls per second for `seconds`
    (`PACED`).
    """

    def both() -> None:
        parts[GRAPH]()
        parts[REDIS_PY]()

    costs = cpu_us(parts)
    return {
        **costs,
        TIGHT: costs[GRAPH] + costs[REDIS_PY],
        PACED: paced_cpu_us(both, RATE, seconds),
    }


def _figure(name: str, runs: Iterable[float]) -> Figure:
    return Figure(name=name, unit="µs CPU", runs=tuple(runs))


def _ratio(
    name: str,
    costs: Sequence[float],
    parts: str,
    bare: Sequence[Costs],
    at_most: float | None = None,
) -> Figure:
    return Figure(
        name=f"{name} over {parts}",
        unit="times",
        runs=tuple(cost / each[parts] for cost, each in zip(costs, bare, strict=True)),
        at_most=at_most,
    )
