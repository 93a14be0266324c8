"""Starts the measured programs as processes, reads their CPU time and memory, and ends them."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

import psutil

from benchmarks.errors import BenchmarkError
from benchmarks.load.workloads import SESSION_SECRET
from benchmarks.options import ROOT
from service.settings import Settings

START_SECONDS = 600.0  # so long because a generative teacher first embeds its whole catalog
# Time between SIGTERM and SIGKILL. LitServe still runs 15 s after SIGTERM, so waiting is no use.
_TERMINATE_SECONDS = 2.0
# Environment variables that a developer may have set and that would change the measurement.
_REMOVED_VARIABLES = {
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONUNBUFFERED",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "SECRETS_PATH",
    *map(str.upper, Settings.model_fields),
}


@dataclass(frozen=True)
class RunningProgram:
    """A running program, together with all its child processes.

    Attributes:
        port: port on this machine that the program listens on.
        seconds_to_ready: time from the start until the program was ready, in seconds.
    """

    port: int
    seconds_to_ready: float
    _process: psutil.Process

    def cpu_seconds(self) -> float:
        """Returns the CPU time of the program and its child processes so far, in seconds."""
        return self._total(_cpu_seconds)

    def resident_mib(self) -> float:
        """Returns the resident memory of the program and its child processes, in MiB."""
        return self._total(_resident_mib)

    def proportional_mib(self) -> float:
        """Returns the proportional set size of the program and its child processes, in MiB.

        A page of memory that several processes share counts in equal parts for each. Linux only.
        """
        return self._total(_proportional_mib)

    def children_proportional_mib(self) -> float:
        """Returns that of the child processes alone, such as the workers of a supervisor."""
        return self._total_of_children(_proportional_mib)

    def mapped_mib(self, names: Collection[str]) -> float:
        """Returns the proportional set size, in MiB, of mapped files with these names."""
        return self._total(partial(_mapped_mib, names))

    def _total(self, measure: Callable[[psutil.Process], float]) -> float:
        return measure(self._process) + self._total_of_children(measure)

    def _total_of_children(self, measure: Callable[[psutil.Process], float]) -> float:
        total = 0.0
        for each in self._process.children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it has just ended
                total += measure(each)
        return total


def _mapped_mib(names: Collection[str], process: psutil.Process) -> float:
    mapped = process.memory_maps(grouped=True)
    return sum(each.pss for each in mapped if Path(each.path).name in names) / 2**20


def _cpu_seconds(process: psutil.Process) -> float:
    """Returns the CPU time of a process and of those of its children that have ended."""
    return float(sum(process.cpu_times()[:4]))  # user, system, and both of the children


def _resident_mib(process: psutil.Process) -> float:
    return float(process.memory_info().rss / 2**20)


def _proportional_mib(process: psutil.Process) -> float:
    return float(process.memory_full_info().pss / 2**20)


@contextmanager
def running(
    command: Sequence[str],
    port: int,
    path: str,
    environment: Mapping[str, str] | None = None,
    root: Path = ROOT,
) -> Iterator[RunningProgram]:
    """Runs `command` for the duration of a `with` block, which begins when the program is ready.

    Args:
        command: program and arguments.
        port: port on this machine that the program listens on.
        path: path for which the program returns status 200 when it is ready.
        environment: environment variables besides those of this process.
        root: root folder of the checkout whose modules the program imports.

    Raises:
        BenchmarkError: the program ended, or was not ready in time; quotes its last output.
    """
    inherited = {
        name: value for name, value in os.environ.items() if name.upper() not in _REMOVED_VARIABLES
    }
    variables = {**inherited, "PYTHONPATH": str(root), **(environment or {})}
    with _started(command, port, lambda: _is_ready(port, path), cwd=root, env=variables) as program:
        yield program


@contextmanager
def running_redis() -> Iterator[RunningProgram]:
    """Runs a new Redis, over TCP and without persistence, for the duration of a `with` block.

    Raises:
        BenchmarkError: the program `redis-server` is not found, or does not start.
    """
    beside_python = str(Path(sys.executable).parent)
    program = shutil.which("redis-server") or shutil.which("redis-server", path=beside_python)
    if program is None:
        raise BenchmarkError(
            f"redis-server: found neither on the PATH nor in {beside_python}; install Redis"
        )
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with (
        TemporaryDirectory() as folder,
        _started(
            [program, *options, "--dir", folder], port, lambda: _accepts_connections(port)
        ) as redis,
    ):
        yield redis


@contextmanager
def running_service(
    bundle: Path, redis: RunningProgram | None = None, root: Path = ROOT, **settings: str
) -> Iterator[RunningProgram]:
    """Runs `python -m service` with one worker, for the duration of a `with` block.

    Args:
        bundle: folder of the bundle to serve.
        redis: Redis for histories; None keeps them in memory.
        root: root folder of the checkout whose service runs.
        **settings: further environment variables of the service.

    Raises:
        BenchmarkError: `root` has no service, or the service does not become ready.
    """
    if not (root / "service" / "__main__.py").exists():  # else Python runs one that is installed
        raise BenchmarkError(f"{root}: no checkout of this project; it has no service/__main__.py")
    port = free_port()
    environment = {"BUNDLE_PATH": str(bundle.resolve()), "PORT": str(port), "WORKERS": "1"}
    if redis is not None:
        environment |= {"REDIS_URL": redis_url(redis), "SESSION_SECRET": SESSION_SECRET}
    command = [sys.executable, "-m", "service"]
    with TemporaryDirectory() as folder:  # a service without Redis keeps added items in a file
        environment |= {"ITEMS_PATH": str(Path(folder) / "added-items.jsonl"), **settings}
        with running(command, port, "/readyz", environment, root) as service:
            yield service


def redis_url(redis: RunningProgram) -> str:
    """Returns the URL of a Redis that `running_redis` has started."""
    return f"redis://127.0.0.1:{redis.port}/0"


def free_port() -> int:
    """Returns a free TCP port of this machine."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def _started(
    command: Sequence[str], port: int, is_ready: Callable[[], bool], **options: Any
) -> Iterator[RunningProgram]:
    """Runs `command` for the duration of a `with` block, which begins when `is_ready()`.

    `options` are further arguments of `Popen`.

    Raises:
        BenchmarkError: the program ended, or was not ready in time; quotes its last output.
    """
    with TemporaryFile() as log:
        started = time.perf_counter()
        process = psutil.Popen([*command], stdout=log, stderr=subprocess.STDOUT, **options)
        try:
            while not is_ready():
                if process.poll() is not None or time.perf_counter() - started > START_SECONDS:
                    log.seek(0)
                    end = " / ".join(log.read().decode(errors="replace").splitlines()[-5:])
                    raise BenchmarkError(f"{' '.join(command)} is not ready; its last lines: {end}")
                time.sleep(0.002)
            seconds = time.perf_counter() - started
            yield RunningProgram(port, seconds, psutil.Process(process.pid))
        finally:
            _end(process)


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
