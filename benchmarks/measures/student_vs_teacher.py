"""Compares the student with its teachers over REST, on the same histories and the same machine.

Each teacher answers from its own server, without the service in between, and may use all cores. The
student answers in one worker of the service. All share the cores with the load generator. Every
request carries its history: no session is stored, and no Redis takes part.

In a round all are asked with the same few histories, each round with others. The student, which is
asked thousands of times, is asked with each many times. It keeps no answers, so each costs it a run
of its graph.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from statistics import median_high

import orjson
import psutil
from matplotlib.axes import Axes

from benchmarks.load.connection import post
from benchmarks.load.generator import run_in_process
from benchmarks.load.plan import NO_PREDECESSOR, Outcome, Plan
from benchmarks.load.workloads import HISTORY_LENGTH, K, require_answers
from benchmarks.options import Options
from benchmarks.results.figures import Figure, Findings, Report
from benchmarks.results.plots import BLUE, GREEN, ORANGE
from benchmarks.subjects.processes import (
    RunningProgram,
    free_port,
    running,
    running_service,
)
from benchmarks.subjects.subject import DEMO_CONFIG, demo_workplace
from export.contract.bundle import load_bundle
from training.data.dataset import Split
from training.data.storage import load_dataset
from training.workplace import Workplace

STUDENT, RETRIEVAL, GENERATIVE = "student", "retrieval teacher", "generative teacher"
TEACHERS = (RETRIEVAL, GENERATIVE)
METRIC = "NDCG@20"
SECONDS_PER_HOUR = 3600
MILLION = 1e6
HISTORIES_PER_ROUND = 12  # a teacher that writes takes a second for each, twice per round

IN_QUICK_RUN = False  # loading an LLM takes half a minute

Histories = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Recommender:
    """A server of the student or of a teacher.

    Attributes:
        name: name in the report.
        path: path of the route that recommends.
        num_requests: number of requests in each run; a multiple of the round's histories.
        concurrency: number of concurrent requests when throughput is measured.
        proof: byte string that the body of every good answer contains.
        server: context manager that runs the server.
    """

    name: str
    path: str
    num_requests: int
    concurrency: int
    proof: bytes
    server: AbstractContextManager[RunningProgram]


@dataclass(frozen=True)
class Measurement:
    """The measurements of one server in one round.

    Attributes:
        sequential: outcome of a run with one request at a time.
        concurrent: outcome of a run with several concurrent requests.
        cpu_seconds: CPU time of the server per request of `concurrent`.
    """

    sequential: Outcome
    concurrent: Outcome
    cpu_seconds: float

    def cost_of_a_million(self, core_hour: float) -> float:
        """Returns the price of the CPU time of a million answers, in dollars.

        `core_hour` is the price of one CPU core for one hour.
        """
        return self.cpu_seconds * MILLION / SECONDS_PER_HOUR * core_hour


def measure(options: Options) -> Findings:
    """Starts all servers, then sends requests to one after another, in several rounds."""
    workplace = demo_workplace(options)
    histories = _histories(workplace)
    recommenders = list(_recommenders(workplace, options))
    measured: dict[str, list[Measurement]] = {each.name: [] for each in recommenders}
    with ExitStack() as stack, ThreadPoolExecutor() as threads:
        # Started in parallel: loading an LLM takes half a minute of one core.
        servers = list(threads.map(stack.enter_context, [each.server for each in recommenders]))
        for number in range(options.pick(3, quick=1)):
            asked = histories_of_round(histories, number, _histories_per_round(options))
            for each, server in zip(recommenders, servers, strict=True):
                measured[each.name].append(_measure_one(each, server, asked))
    quality = _quality(workplace)
    return Findings(
        figures=tuple(_figures(measured, quality, options.core_hour)),
        conditions={
            "histories": f"MovieLens test examples, newest {HISTORY_LENGTH} items each",
            "histories of a round": _histories_per_round(options),
            "asked": {each.name: each.num_requests for each in recommenders},
            "stored": "nothing: requests carry their histories",
            "k": K,
            "price of a core for an hour": options.core_hour,
            "generative teacher": "SmolLM2-135M, not tuned",
            "quality": "full catalog, all test examples, seen items masked",
        },
        series={
            name: {
                "latencies_ms": [ms for each in of_name for ms in _milliseconds(each.sequential)],
                "rate": [each.concurrent.rate for each in of_name],
                "quality": quality.get(name),
            }
            for name, of_name in measured.items()
        },
    )


def draw(axes: Axes, report: Report) -> None:
    """Plots the distribution of each server's latency."""
    for (name, one), colour in zip(report.series.items(), (GREEN, BLUE, ORANGE), strict=False):
        ordered = sorted(one["latencies_ms"])
        shares = [100 * (place + 1) / len(ordered) for place in range(len(ordered))]
        quality = f", NDCG@20 {one['quality']:.4f}" if one["quality"] else ""
        label = f"{name}: {median_high(one['rate']):,.1f} answers/s{quality}"
        axes.step(ordered, shares, color=colour, where="post", label=label)
    axes.set(xscale="log", xlabel="ms, one request at a time", ylabel="% of requests")
    axes.set_title("the same histories to student and teacher, on the same cores")
    axes.legend(frameon=False, fontsize=8, loc="center")


def _recommenders(workplace: Workplace, options: Options) -> Iterator[Recommender]:
    yield Recommender(
        name=STUDENT,
        path="/v1/recommendations",
        num_requests=options.pick(6_000, quick=1_000),
        concurrency=16,
        proof=b'"source":"student"',
        server=running_service(workplace.bundle),
    )
    count = _histories_per_round(options)
    yield _teacher(RETRIEVAL, "retrieval", count, workplace)
    if not options.is_quick:  # its start embeds the whole catalog
        yield _teacher(GENERATIVE, "generative", count, workplace)


def _histories_per_round(options: Options) -> int:
    return options.pick(HISTORIES_PER_ROUND, quick=1)


def histories_of_round(histories: Histories, number: int, count: int) -> Histories:
    """Returns the `count` histories that all are asked with in round `number`, from 0."""
    return histories[number * count : (number + 1) * count]


def _teacher(name: str, kind: str, num_requests: int, workplace: Workplace) -> Recommender:
    port, threads = free_port(), str(psutil.cpu_count(logical=False) or 1)
    program = [sys.executable, "-m", "training.serve_teacher", str(DEMO_CONFIG), "--kind", kind]
    work = str(workplace.folder.parent.resolve())
    arguments = ["--work", work, "--port", str(port), "--threads", threads]
    return Recommender(
        name=name,
        path="/recommendations",
        num_requests=num_requests,
        concurrency=2,
        proof=b'"item_ids"',
        server=running([*program, *arguments], port, "/readyz"),
    )


def _histories(workplace: Workplace) -> Histories:
    """Returns the histories of the test examples, last example first.

    Each has the newest HISTORY_LENGTH items at most, as item ids.
    """
    dataset = load_dataset(workplace.dataset)
    ids = dataset.catalog.item_ids
    rows = dataset.example_rows(Split.TEST)[::-1]
    return [
        [ids[index - 1] for index in dataset.history(int(row))[-HISTORY_LENGTH:]] for row in rows
    ]


def _measure_one(
    recommender: Recommender, server: RunningProgram, histories: Histories
) -> Measurement:
    sent = requests_to(recommender, histories)
    _run(recommender, server, sent[:1], 1)
    sequential = _run(recommender, server, sent, 1)
    before = server.cpu_seconds()
    concurrent = _run(recommender, server, sent, recommender.concurrency)
    cpu_seconds = (server.cpu_seconds() - before) / concurrent.num_sent
    return Measurement(sequential, concurrent, cpu_seconds)


def requests_to(recommender: Recommender, histories: Histories) -> Sequence[bytes]:
    """Returns the requests of a run, which ask with all `histories` equally often, in turns."""
    bodies = [orjson.dumps({"history": each, "k": K}) for each in histories]
    requests = [post(recommender.path, body) for body in bodies]
    return [requests[place % len(requests)] for place in range(recommender.num_requests)]


def _run(
    recommender: Recommender, server: RunningProgram, requests: Sequence[bytes], concurrency: int
) -> Outcome:
    plan = Plan(
        port=server.port,
        requests=requests,
        predecessors=[NO_PREDECESSOR] * len(requests),
        due=None,
        connections=concurrency,
        proofs=(recommender.proof,),
    )
    return require_answers(run_in_process(plan))


def _milliseconds(outcome: Outcome) -> list[float]:
    """Returns about a thousand of the latencies, evenly chosen, in milliseconds, for the plot."""
    milliseconds: list[float] = (outcome.latencies * 1e3).tolist()
    return milliseconds[:: max(1, len(milliseconds) // 1_000)]


def _quality(workplace: Workplace) -> Mapping[str, float]:
    """Returns test NDCG@20 of the student and of the retrieval teacher, by name of the server.

    It comes from the bundle and from stored results. A server without them is left out, and so is a
    teacher that did not answer all examples.
    """
    served = load_bundle(workplace.bundle).manifest.metrics.get("test", {})
    quality = {STUDENT: served[METRIC]} if METRIC in served else {}
    results = workplace.results / "results.json"
    if results.exists():
        rows = json.loads(results.read_text(encoding="utf-8"))["rows"]
        whole = max(row["examples"] for row in rows)
        metrics = {row["name"]: row["metrics"] for row in rows if row["examples"] == whole}
        if (taught := metrics.get("teacher retrieval")) is not None:
            quality[RETRIEVAL] = taught[METRIC]["mean"]
    return quality


def _figures(
    measured: Mapping[str, Sequence[Measurement]], quality: Mapping[str, float], core_hour: float
) -> Iterator[Figure]:
    for name in (each for each in TEACHERS if each in measured):
        pairs = zip(measured[STUDENT], measured[name], strict=True)
        yield Figure(
            name=f"throughput over the {name}'s",
            unit="times",
            runs=tuple(mine.concurrent.rate / its.concurrent.rate for mine, its in pairs),
        )
    for name, of_name in measured.items():
        for share in (50, 90, 99):
            runs = tuple(each.sequential.percentile(share) for each in of_name)
            yield Figure(name=f"p{share}, {name}", unit="ms", runs=runs)
        rates = tuple(each.concurrent.rate for each in of_name)
        yield Figure(name=f"throughput, {name}", unit="answers/s", runs=rates)
        cpu = tuple(each.cpu_seconds * MILLION for each in of_name)
        yield Figure(name=f"CPU for a million answers, {name}", unit="s", runs=cpu)
        costs = tuple(each.cost_of_a_million(core_hour) for each in of_name)
        yield Figure(name=f"a million answers, {name}", unit="$", runs=costs)
        if name in quality:
            yield Figure(name=f"{METRIC}, {name}", unit="", runs=(quality[name],))
