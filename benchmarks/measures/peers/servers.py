"""Defines the peers: how each is started, asked, and told how to gather requests into batches."""

import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import orjson

from benchmarks.errors import BenchmarkError
from benchmarks.load.clicks import Click
from benchmarks.load.connection import post
from benchmarks.load.workloads import Endpoint, K
from benchmarks.options import Options
from benchmarks.subjects.processes import RunningProgram, free_port, redis_url, running
from benchmarks.subjects.subject import Subject


def _body(click: Click) -> dict[str, object]:
    return {**vars(click), "k": K}


def _click_request(click: Click) -> bytes:
    return post("/recommend", orjson.dumps(_body(click)))


def _batch_of_one_request(click: Click) -> bytes:
    return post("/recommend", orjson.dumps({"clicks": [_body(click)]}))


PROOFS = (b'"item_id"', b'"score"')
PEER = Endpoint(_click_request, PROOFS)
BATCH_PEER = Endpoint(_batch_of_one_request, PROOFS)
"""A route whose body and answer are lists, which BentoML joins with those of other requests."""


@dataclass(frozen=True)
class Batching:
    """How a peer gathers requests into batches.

    Attributes:
        size: maximum number of requests in a batch.
        wait_ms: LitServe: maximum time to wait for a full batch. BentoML: latency above which it
            refuses requests; how long it waits it learns itself.
    """

    size: int
    wait_ms: int

    def __str__(self) -> str:
        """Returns the setting in words, for the report."""
        return f"up to {self.size} requests, {self.wait_ms} ms"


@dataclass(frozen=True)
class Peer:
    """A server that the service is compared with.

    Attributes:
        module: arguments of `python -m`, in which `{port}` stands for the port.
        ready_path: path that returns status 200 when the server can answer.
        needs_peers: whether its libraries are installed only for the interpreter `peers_python`.
        description: description of the server for the report.
        endpoint: route that receives clicks.
        settings: settings of its batches, of which the benchmark chooses the best; empty: the
            server answers each request alone.
    """

    module: tuple[str, ...]
    ready_path: str
    needs_peers: bool
    description: str
    endpoint: Endpoint = PEER
    settings: tuple[Batching, ...] = ()

    def start(
        self,
        subject: Subject,
        redis: RunningProgram,
        options: Options,
        batching: Batching | None = None,
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
        if batching is not None:
            environment["BATCH_SIZE"] = str(batching.size)
            environment["BATCH_WAIT_MS"] = str(batching.wait_ms)
        command = [str(python.absolute()), "-m", *(part.format(port=port) for part in self.module)]
        return running(command, port, self.ready_path, environment)


def _uvicorn(module: str) -> tuple[str, ...]:
    app = f"benchmarks.rivals.{module}:create_app"
    return ("uvicorn", "--factory", app, "--port", "{port}", "--no-access-log")


def _bentoml(module: str) -> tuple[str, ...]:
    app = f"benchmarks.rivals.{module}:Recommend"
    return ("bentoml", "serve", app, "--port", "{port}", "--host", "127.0.0.1")


PEERS: Mapping[str, Peer] = {
    "LitServe": Peer(
        ("benchmarks.rivals.litserve_onnx",),
        "/health",
        needs_peers=True,
        description="same graph, synchronous redis-py in its worker process",
    ),
    "LitServe, batches": Peer(
        ("benchmarks.rivals.litserve_onnx",),
        "/health",
        needs_peers=True,
        description="the same; a batch shares a run of the graph and a round trip to Redis",
        settings=tuple(Batching(size, wait) for size in (4, 8, 16) for wait in (0, 1, 3)),
    ),
    "BentoML": Peer(
        _bentoml("bentoml_onnx"),
        "/readyz",
        needs_peers=True,
        description="same graph, asynchronous redis-py",
    ),
    "BentoML, batches": Peer(
        _bentoml("bentoml_batches"),
        "/readyz",
        needs_peers=True,
        description="the same; a batch shares a run of the graph and a round trip to Redis",
        endpoint=BATCH_PEER,
        settings=tuple(Batching(size, wait) for size in (4, 8, 16) for wait in (20, 100, 1_000)),
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
