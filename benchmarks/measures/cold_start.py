"""Measures the start-up time of the service, and its memory after the start and under load.

A service checks a bundle in a child process before it loads it, unless the bundle has passed on
this machine before. A marker file in the system's folder for temporary files records that. So the
first start of a bundle takes longer than the later ones, and both are measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from benchmarks.load.generator import run_in_process
from benchmarks.load.workloads import SERVICE, closed_loop, require_answers, visitors
from benchmarks.options import Options
from benchmarks.results.figures import Figure, Findings
from benchmarks.subjects.processes import RunningProgram, running_redis, running_service
from benchmarks.subjects.subject import Subject, make_subject

NUM_REQUESTS = 2_000
MAX_SECONDS = 2.0
MAX_FIRST_SECONDS = 3.0  # before it, a child starts, and loads and checks the bundle
MAX_MIB = 300.0


@dataclass(frozen=True)
class Starts:
    """Two starts of the service on one bundle, the first of which had to check it.

    Attributes:
        first: seconds from the start of the process until it was ready, unchecked bundle.
        later: the same of the second start, which found that the bundle had passed.
        ready_mib: resident memory of the later one when it was ready, in MiB.
        used_mib: its resident memory after `NUM_REQUESTS` requests, in MiB.
    """

    first: float
    later: float
    ready_mib: float
    used_mib: float


def measure(options: Options) -> Findings:
    """Measures several pairs of starts, each in a folder where no bundle has passed yet.

    The first pair compiles bytecode; it does not count.
    """
    subject = make_subject(options)
    with running_redis() as redis:
        pairs = [start_twice(subject, redis) for _ in range(1 + options.pick(7, quick=1))]
    return Findings(
        figures=figures(pairs[1:]),
        conditions={"items": len(subject.item_ids), "bundle": subject.origin, "workers": 1},
    )


def start_twice(subject: Subject, redis: RunningProgram) -> Starts:
    """Starts the service twice, both times with one new folder for temporary files.

    Raises:
        BenchmarkError: the service does not start, or does not answer.
    """
    with TemporaryDirectory() as temporary:
        with running_service(subject.bundle, redis, TMPDIR=temporary) as service:
            first = service.seconds_to_ready
        with running_service(subject.bundle, redis, TMPDIR=temporary) as service:
            ready_mib = service.resident_mib()
            clicks = visitors(subject.item_ids, NUM_REQUESTS)
            plan = closed_loop(clicks, SERVICE, service.port, connections=8)
            require_answers(run_in_process(plan))
            return Starts(first, service.seconds_to_ready, ready_mib, service.resident_mib())


def figures(pairs: Sequence[Starts]) -> tuple[Figure, ...]:
    """Makes the figures of all pairs of starts."""
    return (
        Figure(
            name="process start to ready, bundle checked before",
            unit="s",
            runs=tuple(each.later for each in pairs),
            at_most=MAX_SECONDS,
        ),
        Figure(
            name="first start of a bundle to ready",
            unit="s",
            runs=tuple(each.first for each in pairs),
            at_most=MAX_FIRST_SECONDS,
        ),
        Figure(
            name="resident when ready",
            unit="MiB",
            runs=tuple(each.ready_mib for each in pairs),
            at_most=MAX_MIB,
        ),
        Figure(
            name=f"resident after {NUM_REQUESTS:,} requests",
            unit="MiB",
            runs=tuple(each.used_mib for each in pairs),
            at_most=MAX_MIB,
        ),
    )
