"""The same graph behind other servers: same machine, same clicks, same Redis, interleaved runs.

Each server has one worker. A closed loop keeps it saturated; what it answers then a second, and
how long an answer takes, is compared.
"""

import statistics
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import orjson

from benchmarks.load.clicks import Click
from benchmarks.load.connection import post
from benchmarks.load.generator import run_apart
from benchmarks.load.plan import Outcome
from benchmarks.load.workloads import SERVICE, Endpoint, K, closed, regulars, settle_regulars
from benchmarks.options import Setting
from benchmarks.results.figures import Figure, Findings, kinds_of_failure
from benchmarks.subjects.processes import (
    BenchmarkError,
    Running,
    free_port,
    redis_url,
    running,
    running_redis,
    running_service,
)
from benchmarks.subjects.subject import Subject, make_subject

CONNECTIONS = 16
WARM_UP_SECONDS = 1.0
OURS = "this service"


def _visit(click: Click) -> bytes:
    return post("/recommend", orjson.dumps({**vars(click), "k": K}))


RIVAL = Endpoint(_visit, (b'"item_id"', b'"score"'))


@dataclass(frozen=True)
class Rival:
    """Another server.

    Attributes:
        module: what `python -m` runs; `{port}` stands for its port.
        needs_peers: whether it lives in the environment of the peers.
        what: what it does, for the report.
    """

    module: tuple[str, ...]
    ready_path: str
    needs_peers: bool
    what: str

    def start(
        self, subject: Subject, redis: Running, setting: Setting
    ) -> AbstractContextManager[Running]:
        """Runs it until the block ends."""
        port = free_port()
        python = setting.peers_python if self.needs_peers else Path(sys.executable)
        if not python.exists():
            raise BenchmarkError(f"{python} is missing; `make bench` makes it")
        environment = {
            "BUNDLE_PATH": str(subject.bundle.resolve()),
            "STUDENT_PATH": str(subject.student_path.resolve()),
            "REDIS_URL": redis_url(redis),
            "PORT": str(port),
        }
        command = [str(python), "-m", *(part.format(port=port) for part in self.module)]
        return running(command, port, self.ready_path, environment)


def _uvicorn(module: str) -> tuple[str, ...]:
    app = f"benchmarks.rivals.{module}:create_app"
    return ("uvicorn", "--factory", app, "--port", "{port}", "--no-access-log")


_BENTO = ("bentoml", "serve", "benchmarks.rivals.bentoml_onnx:Recommend", "--port", "{port}")
RIVALS: Mapping[str, Rival] = {
    "LitServe": Rival(
        ("benchmarks.rivals.litserve_onnx",),
        "/health",
        needs_peers=True,
        what="same graph, synchronous redis-py in its worker process",
    ),
    "BentoML": Rival(
        (*_BENTO, "--host", "127.0.0.1"),
        "/readyz",
        needs_peers=True,
        what="same graph, asynchronous redis-py",
    ),
    "FastAPI + onnxruntime": Rival(
        _uvicorn("fastapi_onnx"),
        "/ready",
        needs_peers=False,
        what="same graph, asynchronous redis-py",
    ),
    "FastAPI + torch": Rival(
        _uvicorn("fastapi_torch"),
        "/ready",
        needs_peers=False,
        what="the student in eager torch on one thread, asynchronous redis-py",
    ),
}


def measure(setting: Setting) -> Findings:
    """Saturates each server in turn, several times round; see the module."""
    subject = make_subject(setting)
    rounds, seconds = round(setting.either(3, 1)), setting.either(4, 1)
    outcomes: dict[str, list[Outcome]] = {name: [] for name in (OURS, *RIVALS)}
    with running_redis() as redis:
        for _ in range(rounds):
            for name, of_name in outcomes.items():
                of_name.append(_saturate(name, subject, redis, setting, seconds))
    return Findings(
        figures=tuple(_figures(outcomes)),
        conditions={
            "connections": CONNECTIONS,
            "seconds": seconds,
            "workload": "regulars: sessions of 50 items and more",
            "bundle": subject.origin,
            "failures": {
                name: kinds_of_failure(each.failures for each in of_name)
                for name, of_name in outcomes.items()
            },
            "servers": {name: rival.what for name, rival in RIVALS.items()},
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


def _saturate(
    name: str, subject: Subject, redis: Running, setting: Setting, seconds: float
) -> Outcome:
    endpoint = SERVICE if name == OURS else RIVAL
    start = (
        running_service(subject.bundle, redis)
        if name == OURS
        else RIVALS[name].start(subject, redis, setting)
    )
    with start as server:
        settle_regulars(redis.port, server.port, endpoint, subject.item_ids)
        clicks = regulars(subject.item_ids, round((WARM_UP_SECONDS + seconds) * 8_000))
        return run_apart(
            closed(
                clicks,
                endpoint,
                server.port,
                seconds=WARM_UP_SECONDS + seconds,
                connections=CONNECTIONS,
                warm_up_seconds=WARM_UP_SECONDS,
            )
        )


def _figures(outcomes: Mapping[str, list[Outcome]]) -> Iterator[Figure]:
    ours, rivals = outcomes[OURS], {name: outcomes[name] for name in RIVALS}
    best = max(rivals, key=lambda name: statistics.median(each.rate for each in rivals[name]))
    pairs = list(zip(ours, rivals[best], strict=True))
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
