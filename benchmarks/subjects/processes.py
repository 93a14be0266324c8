"""Starts the measured programs as processes, reads their CPU time and memory, ends them."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

import psutil

from benchmarks.errors import BenchmarkError
from benchmarks.options import ROOT

START_SECONDS = 600.0  # a generative teacher first embeds its whole catalog
_TERMINATE_SECONDS = 2.0  # then kill: LitServe has not ended 15 s after a SIGTERM
# Variables of a developer's shell that would change the measurement.
_REMOVED_VARIABLES = (
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONUNBUFFERED",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
)


@dataclass(frozen=True)
class RunningProgram:
    """A program that has started, with all its child processes.

    Attributes:
        port: port that it listens on, on this machine.
        seconds_to_ready: time from its start to its first answer.
    """

    port: int
    seconds_to_ready: float
    _process: psutil.Process

    def cpu_seconds(self) -> float:
        """Returns user and system time of all its processes since the start."""
        return sum(cpu for cpu, _ in self._usage())

    def resident_mib(self) -> float:
        """Returns resident memory of all its processes, in MiB."""
        return sum(resident for _, resident in self._usage()) / 2**20

    def _usage(self) -> Iterator[tuple[float, int]]:
        for each in [self._process, *self._process.children(recursive=True)]:
            times = each.cpu_times()
            yield times.user + times.system, each.memory_info().rss


@contextmanager
def running(
    command: Sequence[str], port: int, path: str, environment: Mapping[str, str] | None = None
) -> Iterator[RunningProgram]:
    """Runs `command` for the length of a `with` block, which it enters when `GET path` returns 200.

    `environment` is added to the variables of this process.

    Raises:
        BenchmarkError: the program ended or was not ready in time; the message has its last lines.
    """
    inherited = {
        name: value for name, value in os.environ.items() if name not in _REMOVED_VARIABLES
    }
    with TemporaryFile() as log:
        started = time.perf_counter()
        process = psutil.Popen(
            [*command],
            cwd=ROOT,
            env={**inherited, "PYTHONPATH": str(ROOT), **(environment or {})},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            while not _is_ready(port, path):
                if process.poll() is not None or time.perf_counter() - started > START_SECONDS:
                    log.seek(0)
                    end = " / ".join(log.read().decode(errors="replace").splitlines()[-5:])
                    raise BenchmarkError(f"{' '.join(command)} is not ready; its last lines: {end}")
                time.sleep(0.002)
            seconds = time.perf_counter() - started
            yield RunningProgram(port, seconds, psutil.Process(process.pid))
        finally:
            _end(process)


@contextmanager
def running_redis() -> Iterator[RunningProgram]:
    """Runs a Redis of its own for the length of a `with` block: over TCP, without persistence.

    Raises:
        BenchmarkError: there is no `redis-server`.
    """
    beside_python = str(Path(sys.executable).parent)
    program = shutil.which("redis-server") or shutil.which("redis-server", path=beside_python)
    if program is None:
        raise BenchmarkError("no redis-server on the PATH or beside this Python; install Redis")
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with TemporaryDirectory() as folder, TemporaryFile() as log:
        started = time.perf_counter()
        process = psutil.Popen([program, *options, "--dir", folder], stdout=log)
        try:
            while not _accepts_connections(port):
                time.sleep(0.002)
            yield RunningProgram(port, time.perf_counter() - started, psutil.Process(process.pid))
        finally:
            _end(process)


def running_service(
    bundle: Path, redis: RunningProgram | None = None, **settings: str
) -> AbstractContextManager[RunningProgram]:
    """Runs `python -m service` on `bundle` with one worker, for the length of a `with` block.

    `settings` are environment variables of the service. Raises as `running` does.
    """
    port = free_port()
    environment = {"BUNDLE_PATH": str(bundle.resolve()), "PORT": str(port), "WORKERS": "1"}
    environment |= settings
    if redis is not None:
        environment["REDIS_URL"] = redis_url(redis)
    return running([sys.executable, "-m", "service"], port, "/readyz", environment)


def redis_url(redis: RunningProgram) -> str:
    """Returns the URL of a Redis of `running_redis`."""
    return f"redis://127.0.0.1:{redis.port}/0"


def free_port() -> int:
    """Returns a free TCP port of this machine."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _accepts_connections(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


def _is_ready(port: int, path: str) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\nhost: 127.0.0.1\r\n\r\n".encode())
            return connection.recv(64).split(b" ")[1:2] == [b"200"]
    except OSError:
        return False


def _end(process: psutil.Popen) -> None:
    with suppress(psutil.NoSuchProcess):
        tree = [*process.children(recursive=True), process]
        process.terminate()
        _, alive = psutil.wait_procs(tree, timeout=_TERMINATE_SECONDS)
        for each in alive:
            each.kill()
