"""Compares the service with its peers: other servers that serve the same graph.

All of them run on the same machine, with the same clicks and the same Redis. Each server has one
worker, which a closed loop saturates. The servers take turns, every second round in the opposite
order; answers per second and latency are compared.
"""

import statistics
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import orjson
from matplotlib.axes import Axes

from benchmarks.errors import BenchmarkError
from benchmarks.load.clicks import Click
from benchmarks.load.connection import post
from benchmarks.load.generator import run_in_process
from benchmarks.load.plan import Outcome
from benchmarks.load.turns import take_turns
from benchmarks.load.workloads import SERVICE, Endpoint, K, closed_loop, fill_regulars, regulars
from benchmarks.options import Options
from benchmarks.results.figures import Figure, Findings, Report, sum_failures
from benchmarks.results.plots import BLUE, GRAY, GREEN
from benchmarks.subjects.processes import (
    RunningProgram,
    free_port,
    redis_url,
    running,
    running_redis,
    running_service,
)
from benchmarks.subjects.subject import Subject, make_subject

CONNECTIONS = 16
MAX_RATE = 8_000  # requests per second; more than any of the servers reaches
WARM_UP_SECONDS = 1.0
OURS = "this service"


def _click_request(click: Click) -> bytes:
    return post("/recommend", orjson.dumps({**vars(click), "k": K}))


PEER = Endpoint(_click_request, (b'"item_id"', b'"score"'))


@dataclass(frozen=True)
class Peer:
    """A server that the service is compared with.

    Attributes:
        module: arguments of `python -m`, in which `{port}` stands for the port.
        ready_path: path that returns status 200 when the server can answer.
        needs_peers: whether its libraries are installed only for the interpreter `peers_python`.
        description: description of the server for the report.
    """

    module: tuple[str, ...]
    ready_path: str
    needs_peers: bool
    description: str

    def start(
        self, subject: Subject, redis: RunningProgram, options: Options
    ) -> AbstractContextManager[RunningProgram]:
        """Runs the server with the bundle of `subject` for the duration of a `with` block.

        Raises:
            BenchmarkError: the interpreter with the peers is missing, or the server does not start.
        """
        port = free_port()
        python = options.peers_python if self.needs_peers else Path(sys.executable)
        if not python.exists():
            raise BenchmarkError(f"{python}: missing; install the peer servers with `make bench`")
        environment = {
            "BUNDLE_PATH": str(subject.bundle.resolve()),
            "STUDENT_PATH": str(subject.student_path.resolve()),
            "REDIS_URL": redis_url(redis),
            "PORT": str(port),
        }
        command = [str(python.absolute()), "-m", *(part.format(port=port) for part in self.module)]
        return running(command, port, self.ready_path, environment)


def _uvicorn(module: str) -> tuple[str, ...]:
    app = f"benchmarks.rivals.{module}:create_app"
    return ("uvicorn", "--factory", app, "--port", "{port}", "--no-access-log")


_BENTO = ("bentoml", "serve", "benchmarks.rivals.bentoml_onnx:Recommend", "--port", "{port}")
PEERS: Mapping[str, Peer] = {
    "LitServe": Peer(
        ("benchmarks.rivals.litserve_onnx",),
        "/health",
        needs_peers=True,
        description="same graph, synchronous redis-py in its worker process",
    ),
    "BentoML": Peer(
        (*_BENTO, "--host", "127.0.0.1"),
        "/readyz",
        needs_peers=True,
        description="same graph, asynchronous redis-py",
    ),
    "FastAPI + onnxruntime": Peer(
        _uvicorn("fastapi_onnx"),
        "/ready",
        needs_peers=False,
        description="same graph, asynchronous redis-py",
    ),
    "FastAPI + torch": Peer(
        _uvicorn("fastapi_torch"),
        "/ready",
        needs_peers=False,
        description="the student in eager torch on one thread, asynchronous redis-py",
    ),
}


def measure(options: Options) -> Findings:
    """Measures answers per second and latency of each saturated server, in several rounds."""
    subject = make_subject(options)
    rounds, seconds = options.pick(3, quick=1), options.pick(4, quick=1)
    with running_redis() as redis:
        outcomes = take_turns(
            {
                name: partial(_saturate, name, subject, redis, options, seconds)
                for name in (OURS, *PEERS)
            },
            rounds,
        )
    return Findings(
        figures=tuple(_figures(outcomes)),
        conditions={
            "connections": CONNECTIONS,
            "seconds": seconds,
            "workload": "regulars: sessions of 50 items and more",
            "bundle": subject.origin,
            "failures": {
                name: sum_failures(each.failures for each in of_name)
                for name, of_name in outcomes.items()
            },
            "servers": {name: peer.description for name, peer in PEERS.items()},
        },
        series={
            name: {
                "rate": [each.rate for each in of_name],
                "p50": [each.percentile(50) for each in of_name],
                "p99": [each.percentile(99) for each in of_name],
            }
            for name, of_name in outcomes.items()
        },
    )


def draw(axes: Axes, report: Report) -> None:
    """Draws a bar of answers per second for each server, and writes its p99 beside the bar."""
    names = [*report.series][::-1]
    for place, name in enumerate(names):
        rates = report.series[name]["rate"]
        colour = GREEN if name == OURS else GRAY
        axes.barh(place, statistics.median_high(rates), color=colour)
        axes.plot(rates, [place] * len(rates), "|", color=BLUE)
        p99 = statistics.median_high(report.series[name]["p99"])
        axes.annotate(f"  p99 {p99:.0f} ms", (max(rates), place), va="center", fontsize=8)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="answers a second, one worker, saturated")
    axes.margins(x=0.2)
    axes.set_title("the same graph behind other servers")


def _saturate(
    name: str, subject: Subject, redis: RunningProgram, options: Options, seconds: float
) -> Outcome:
    endpoint = SERVICE if name == OURS else PEER
    start = (
        running_service(subject.bundle, redis)
        if name == OURS
        else PEERS[name].start(subject, redis, options)
    )
    with start as server:
        fill_regulars(redis.port, server.port, endpoint, subject.item_ids)
        clicks = regulars(subject.item_ids, round((WARM_UP_SECONDS + seconds) * MAX_RATE))
        return run_in_process(
            closed_loop(
                clicks,
                endpoint,
                server.port,
                seconds=WARM_UP_SECONDS + seconds,
                connections=CONNECTIONS,
                warm_up_seconds=WARM_UP_SECONDS,
            )
        )


def _figures(outcomes: Mapping[str, list[Outcome]]) -> Iterator[Figure]:
    ours, peers = outcomes[OURS], {name: outcomes[name] for name in PEERS}
    best = max(peers, key=lambda name: statistics.median(each.rate for each in peers[name]))
    pairs = list(zip(ours, peers[best], strict=True))
    yield Figure(
        name=f"throughput over the best peer's ({best})",
        unit="times",
        runs=tuple(mine.rate / its.rate for mine, its in pairs),
        at_least=2,
    )
    yield Figure(
        name=f"p99 over that of {best}",
        unit="times",
        runs=tuple(mine.percentile(99) / its.percentile(99) for mine, its in pairs),
        at_most=1,
    )
    for name, of_name in outcomes.items():
        for figure, unit, runs in (
            ("answers", "/s", [each.rate for each in of_name]),
            ("p50", "ms", [each.percentile(50) for each in of_name]),
            ("p99", "ms", [each.percentile(99) for each in of_name]),
        ):
            yield Figure(name=f"{figure}, {name}", unit=unit, runs=tuple(runs))
        failed = tuple(float(each.num_failed) for each in of_name)
        yield Figure(name=f"failed requests, {name}", unit="", runs=failed, at_most=0)
