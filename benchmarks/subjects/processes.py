"""What is measured runs in processes of its own: started, awaited, weighed, ended."""

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

from training.errors import TrainingError

ROOT = Path(__file__).parents[2]
START_SECONDS = 600.0  # a generative teacher embeds its whole catalog first
_FAREWELL_SECONDS = 2.0  # LitServe would not end in fifteen
# What people set for their own comfort would change what is measured.
_UNWANTED = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


class BenchmarkError(TrainingError):
    """A benchmark cannot run; the message says what it lacks."""


@dataclass(frozen=True)
class Running:
    """A started program and what it started."""

    port: int
    seconds_to_ready: float
    _process: psutil.Process

    def cpu_seconds(self) -> float:
        """User and system time of the whole tree so far."""
        return sum(cpu for cpu, _ in self._weights())

    def resident_mib(self) -> float:
        """Resident memory of the whole tree."""
        return sum(resident for _, resident in self._weights()) / 2**20

    def _weights(self) -> Iterator[tuple[float, int]]:
        for each in [self._process, *self._process.children(recursive=True)]:
            times = each.cpu_times()
            yield times.user + times.system, each.memory_info().rss


@contextmanager
def running(
    command: Sequence[str], port: int, path: str, environment: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """Runs `command` until the block ends; enters it when a GET of `path` is answered with 200.

    Raises:
        BenchmarkError: it ended, or was not ready in time; its last lines are told.
    """
    kept = {name: value for name, value in os.environ.items() if name not in _UNWANTED}
    with TemporaryFile() as log:
        started = time.perf_counter()
        process = psutil.Popen(
            [*command],
            cwd=ROOT,
            env={**kept, "PYTHONPATH": str(ROOT), **(environment or {})},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            while not _answers(port, path):
                if process.poll() is not None or time.perf_counter() - started > START_SECONDS:
                    log.seek(0)
                    end = " / ".join(log.read().decode(errors="replace").splitlines()[-5:])
                    raise BenchmarkError(f"{' '.join(command)} is not ready: {end}")
                time.sleep(0.002)
            seconds = time.perf_counter() - started
            yield Running(port, seconds, psutil.Process(process.pid))
        finally:
            _end(process)


@contextmanager
def running_redis() -> Iterator[Running]:
    """A Redis of its own, on TCP as in production, with nothing on disk."""
    beside_python = str(Path(sys.executable).parent)
    program = shutil.which("redis-server") or shutil.which("redis-server", path=beside_python)
    if program is None:
        raise BenchmarkError("no redis-server on the PATH, and none beside this Python")
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with TemporaryDirectory() as folder, TemporaryFile() as log:
        started = time.perf_counter()
        process = psutil.Popen([program, *options, "--dir", folder], stdout=log)
        try:
            while not _connects(port):
                time.sleep(0.002)
            yield Running(port, time.perf_counter() - started, psutil.Process(process.pid))
        finally:
            _end(process)


def running_service(
    bundle: Path, redis: Running | None = None, **settings: str
) -> AbstractContextManager[Running]:
    """`python -m service` on `bundle`, as a user starts it, in one worker."""
    port = free_port()
    environment = {"BUNDLE_PATH": str(bundle.resolve()), "PORT": str(port), "WORKERS": "1"}
    environment |= settings
    if redis is not None:
        environment["REDIS_URL"] = redis_url(redis)
    return running([sys.executable, "-m", "service"], port, "/readyz", environment)


def redis_url(redis: Running) -> str:
    """Where a Redis of `running_redis` listens."""
    return f"redis://127.0.0.1:{redis.port}/0"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _connects(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


def _answers(port: int, path: str) -> bool:
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
        _, alive = psutil.wait_procs(tree, timeout=_FAREWELL_SECONDS)
        for each in alive:
            each.kill()
