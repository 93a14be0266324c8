"""Measures the start-up time of the service, and its memory after the start and under load."""

from benchmarks.load.generator import run_in_process
from benchmarks.load.workloads import SERVICE, closed_loop, require_answers, visitors
from benchmarks.options import Options
from benchmarks.results.figures import Figure, Findings
from benchmarks.subjects.processes import running_redis, running_service
from benchmarks.subjects.subject import make_subject

NUM_REQUESTS = 2_000


def measure(options: Options) -> Findings:
    """Measures several starts of the service.

    The first compiles bytecode and checks the bundle in a process of its own; it does not count.
    """
    subject = make_subject(options)
    starts, fresh, used = [], [], []
    with running_redis() as redis:
        for _ in range(1 + options.pick(7, quick=1)):
            with running_service(subject.bundle, redis) as service:
                starts.append(service.seconds_to_ready)
                fresh.append(service.resident_mib())
                clicks = visitors(subject.item_ids, NUM_REQUESTS)
                plan = closed_loop(clicks, SERVICE, service.port, connections=8)
                require_answers(run_in_process(plan))
                used.append(service.resident_mib())
    return Findings(
        figures=(
            Figure(name="process start to ready", unit="s", runs=tuple(starts[1:]), at_most=2),
            Figure(name="resident when ready", unit="MiB", runs=tuple(fresh[1:]), at_most=300),
            Figure(
                name=f"resident after {NUM_REQUESTS:,} requests",
                unit="MiB",
                runs=tuple(used[1:]),
                at_most=300,
            ),
        ),
        conditions={"items": len(subject.item_ids), "bundle": subject.origin, "workers": 1},
    )
