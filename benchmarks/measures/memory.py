"""Resident memory over a million requests of visitors who come and go."""

import statistics

from tqdm import tqdm

from benchmarks.load.generator import run_apart
from benchmarks.load.workloads import SERVICE, closed, visitors
from benchmarks.options import Setting
from benchmarks.results.figures import Figure, Findings, kinds_of_failure
from benchmarks.subjects.processes import running_redis, running_service
from benchmarks.subjects.subject import make_subject

NUM_REQUESTS = 1_000_000
NUM_REQUESTS_QUICK = 10_000
NUM_PARTS = 20
CONNECTIONS = 64  # what a worker takes in most quickly, here
MOST_GROWTH_MIB = 8.0


def measure(setting: Setting) -> Findings:
    """Weighs the service after each part of the load; see the module."""
    subject = make_subject(setting)
    count = round(setting.either(NUM_REQUESTS, NUM_REQUESTS_QUICK)) // NUM_PARTS
    weights, failures, rates = [], [], []
    with running_redis() as redis, running_service(subject.bundle, redis) as service:
        for part in tqdm(range(NUM_PARTS), desc="memory", unit=f"{count:,} requests"):
            clicks = visitors(subject.item_ids, count, part)
            outcome = run_apart(closed(clicks, SERVICE, service.port, connections=CONNECTIONS))
            failures.append(outcome.failures)
            rates.append(outcome.rate)
            weights.append(service.resident_mib())
    fifth = NUM_PARTS // 5
    settled, last = weights[fifth : 2 * fifth], weights[-fifth:]
    failed = kinds_of_failure(failures)
    growth = statistics.median(last) - statistics.median(settled)
    return Findings(
        figures=(
            Figure(
                name="growth from the second to the last fifth",
                unit="MiB",
                runs=(growth,),
                at_most=MOST_GROWTH_MIB,
            ),
            Figure(name="visitors answered, saturated", unit="/s", runs=tuple(rates)),
            Figure(name="largest", unit="MiB", runs=(max(weights),), at_most=300),
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
            "resident_mib": weights,
        },
    )
