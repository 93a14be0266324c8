"""The student beside the teachers that it learnt from: the same histories, the same cores, REST.

Teachers are asked at their own server, without the service in between, and may use both cores; the
student answers in one worker of the service, which shares the cores with the load generator.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

import orjson
import psutil

from benchmarks.load.connection import post
from benchmarks.load.generator import run_apart
from benchmarks.load.plan import NO_PREDECESSOR, Outcome, Plan
from benchmarks.load.workloads import HISTORY_LENGTH, K
from benchmarks.options import Setting
from benchmarks.results.figures import Figure, Findings
from benchmarks.subjects.processes import (
    BenchmarkError,
    Running,
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
AT_LEAST = {RETRIEVAL: 300.0, GENERATIVE: 1_000.0}
METRIC = "NDCG@20"
SECONDS_PER_HOUR = 3600
MILLION = 1e6

Histories = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Answering:
    """One of those who answer.

    Attributes:
        count: histories that it is asked, the first of all.
        at_once: requests on their way when throughput is measured.
    """

    name: str
    path: str
    count: int
    at_once: int
    proof: bytes
    start: AbstractContextManager[Running]


@dataclass(frozen=True)
class Measured:
    """One request at a time, then as many as the server can take; its CPU time meanwhile."""

    alone: Outcome
    crowded: Outcome
    cpu_seconds: float

    def price_of_a_million(self, core_hour: float) -> float:
        """What a million answers cost, in the currency of the price of a core for an hour."""
        return self.cpu_seconds * MILLION / SECONDS_PER_HOUR * core_hour


def measure(setting: Setting) -> Findings:
    """Asks all of them, several times round; see the module."""
    workplace = demo_workplace(setting)
    histories = _histories(workplace)
    answering = list(_all(workplace, setting))
    measured: dict[str, list[Measured]] = {each.name: [] for each in answering}
    with ExitStack() as stack, ThreadPoolExecutor() as threads:
        # At once: an LLM is read on one core, for half a minute.
        servers = list(threads.map(stack.enter_context, [each.start for each in answering]))
        for _ in range(round(setting.either(3, 1))):
            for each, server in zip(answering, servers, strict=True):
                measured[each.name].append(_ask(each, server, histories))
    quality = _quality(workplace)
    return Findings(
        figures=tuple(_figures(measured, quality, setting.core_hour)),
        conditions={
            "histories": f"MovieLens test examples, newest {HISTORY_LENGTH} items each",
            "asked": {each.name: each.count for each in answering},
            "k": K,
            "price of a core for an hour": setting.core_hour,
            "generative teacher": "SmolLM2-135M, not tuned",
            "quality": "full catalog, all test examples, seen items left out",
        },
        series={
            name: {
                "latencies_ms": [ms for each in of_name for ms in _milliseconds(each.alone)],
                "rate": [each.crowded.rate for each in of_name],
                "quality": quality.get(name),
            }
            for name, of_name in measured.items()
        },
    )


def _all(workplace: Workplace, setting: Setting) -> Iterator[Answering]:
    yield Answering(
        name=STUDENT,
        path="/v1/recommendations",
        count=round(setting.either(6_000, 1_000)),
        at_once=16,
        proof=b'"source":"student"',
        start=running_service(workplace.bundle),
    )
    yield _teacher(RETRIEVAL, "retrieval", round(setting.either(4, 1)), workplace)
    if not setting.is_quick:  # it embeds the whole catalog when it starts
        yield _teacher(GENERATIVE, "generative", 3, workplace)


def _teacher(name: str, kind: str, count: int, workplace: Workplace) -> Answering:
    port, threads = free_port(), str(psutil.cpu_count(logical=False) or 1)
    program = [sys.executable, "-m", "training.serve_teacher", str(DEMO_CONFIG), "--kind", kind]
    work = str(workplace.folder.parent.resolve())
    options = ["--work", work, "--port", str(port), "--threads", threads]
    return Answering(
        name=name,
        path="/recommendations",
        count=count,
        at_once=2,
        proof=b'"item_ids"',
        start=running([*program, *options], port, "/readyz"),
    )


def _histories(workplace: Workplace) -> Histories:
    """Of the newest test examples, in item ids; the newest first."""
    dataset = load_dataset(workplace.dataset)
    ids = dataset.catalog.item_ids
    rows = dataset.example_rows(Split.TEST)[::-1]
    return [
        [ids[index - 1] for index in dataset.history(int(row))[-HISTORY_LENGTH:]] for row in rows
    ]


def _ask(answering: Answering, server: Running, histories: Histories) -> Measured:
    bodies = [orjson.dumps({"history": each, "k": K}) for each in histories]
    requests = [post(answering.path, body) for body in bodies]
    wanted = [requests[place % len(requests)] for place in range(answering.count)]
    _run(answering, server, wanted[:1], 1)
    alone = _run(answering, server, wanted, 1)
    before = server.cpu_seconds()
    crowded = _run(answering, server, wanted, answering.at_once)
    cpu_seconds = (server.cpu_seconds() - before) / crowded.num_sent
    return Measured(alone, crowded, cpu_seconds)


def _run(answering: Answering, server: Running, requests: Sequence[bytes], at_once: int) -> Outcome:
    outcome = run_apart(
        Plan(
            port=server.port,
            requests=requests,
            predecessors=[NO_PREDECESSOR] * len(requests),
            due=None,
            connections=at_once,
            proofs=(answering.proof,),
        )
    )
    if outcome.num_failed:
        raise BenchmarkError(f"the {answering.name} failed: {dict(outcome.failures)}")
    return outcome


def _milliseconds(outcome: Outcome) -> list[float]:
    """At most a thousand latencies, for the picture."""
    milliseconds: list[float] = (outcome.latencies * 1e3).tolist()
    return milliseconds[:: max(1, len(milliseconds) // 1_000)]


def _quality(workplace: Workplace) -> Mapping[str, float]:
    """On the test split: of the bundle as it is served, and of the teacher's stored answers."""
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
    measured: Mapping[str, Sequence[Measured]], quality: Mapping[str, float], core_hour: float
) -> Iterator[Figure]:
    for name in measured.keys() & AT_LEAST:
        pairs = zip(measured[STUDENT], measured[name], strict=True)
        yield Figure(
            name=f"throughput over the {name}'s",
            unit="times",
            runs=tuple(mine.crowded.rate / its.crowded.rate for mine, its in pairs),
            at_least=AT_LEAST[name],
        )
    for name, of_name in measured.items():
        for share in (50, 90, 99):
            runs = tuple(each.alone.percentile(share) for each in of_name)
            yield Figure(name=f"p{share}, {name}", unit="ms", runs=runs)
        rates = tuple(each.crowded.rate for each in of_name)
        yield Figure(name=f"throughput, {name}", unit="answers/s", runs=rates)
        cpu = tuple(each.cpu_seconds * MILLION for each in of_name)
        yield Figure(name=f"CPU for a million answers, {name}", unit="s", runs=cpu)
        prices = tuple(each.price_of_a_million(core_hour) for each in of_name)
        yield Figure(name=f"a million answers, {name}", unit="$", runs=prices)
        if name in quality:
            yield Figure(name=f"{METRIC}, {name}", unit="", runs=(quality[name],))
