"""What a request costs the service, beside the two things that it cannot do without.

The service's CPU time per request of a session with 50 items, against that of running its graph on
such a history plus one Redis round trip (append, trim, expire, read), all in one run. Like is held
against like: a saturated service against the bare parts in a tight loop, one that is asked a
thousand times a second against the bare parts a thousand times a second.
"""

import numpy as np
from redis import Redis

from benchmarks.load.cpu_time import cpu_us, paced_cpu_us
from benchmarks.load.plan import even
from benchmarks.load.workloads import HISTORY_LENGTH, K
from benchmarks.measures.constant_rate import RATE, WARM_UP_SECONDS, Stage
from benchmarks.options import Setting
from benchmarks.results.figures import Figure, Findings
from benchmarks.rivals.click_handler import plain_run
from benchmarks.subjects.processes import running_redis, running_service
from benchmarks.subjects.redis_round_trip import library_round_trip, wire_round_trip
from benchmarks.subjects.subject import make_subject
from export.contract.bundle import BundleLayout

BARE_GRAPH, BARE_REDIS, BARE_WIRE = "bare graph", "bare Redis, redis-py", "bare Redis, socket"
TIGHT, PACED = "bare graph + bare Redis", f"bare graph + bare Redis, {RATE:,} a second"


def measure(setting: Setting) -> Findings:
    """Takes turns between the bare parts and the service; see the module."""
    subject = make_subject(setting)
    rng = np.random.default_rng(0)
    history = rng.integers(1, len(subject.item_ids) + 1, HISTORY_LENGTH).tolist()
    graph = plain_run(BundleLayout(subject.bundle).common_case)
    bare, served, saturated = [], [], []
    with (
        running_redis() as redis,
        running_service(subject.bundle, redis) as service,
        Redis(port=redis.port, decode_responses=True) as client,
    ):
        stage = Stage(subject, service, redis)
        works = {
            BARE_GRAPH: lambda: graph(history, K),
            BARE_REDIS: library_round_trip(client, "bare:library"),
            BARE_WIRE: wire_round_trip(client, redis.port, "bare:wire"),
        }

        def both() -> None:
            works[BARE_GRAPH]()
            works[BARE_REDIS]()

        for _ in range(round(setting.either(3, 1))):
            stage.settle()
            for key in ("bare:library", "bare:wire"):
                client.rpush(key, *["an-item"] * HISTORY_LENGTH)
            seconds = WARM_UP_SECONDS + setting.either(4, 1)
            bare.append(cpu_us(works))
            bare[-1][TIGHT] = bare[-1][BARE_GRAPH] + bare[-1][BARE_REDIS]
            bare[-1][PACED] = paced_cpu_us(both, RATE, seconds)
            served.append(stage.at(even(RATE, seconds)).service_us)
            saturated.append(stage.saturated(seconds).service_us)
    return Findings(
        figures=(
            *(_figure(name, [each[name] for each in bare]) for name in (*works, TIGHT, PACED)),
            _figure(f"service at {RATE:,} requests/s", served),
            _figure("service, saturated", saturated),
            _over(f"service at {RATE:,} requests/s", served, PACED, bare, at_most=2),
            _over("service, saturated,", saturated, TIGHT, bare, at_most=2),
            _over(f"service at {RATE:,} requests/s", served, TIGHT, bare),
        ),
        conditions={"history": HISTORY_LENGTH, "k": K, "bundle": subject.origin},
    )


def _figure(name: str, runs: list[float]) -> Figure:
    return Figure(name=name, unit="µs CPU", runs=tuple(runs))


def _over(
    name: str,
    costs: list[float],
    parts: str,
    bare: list[dict[str, float]],
    at_most: float | None = None,
) -> Figure:
    return Figure(
        name=f"{name} over {parts}",
        unit="times",
        runs=tuple(cost / each[parts] for cost, each in zip(costs, bare, strict=True)),
        at_most=at_most,
    )
