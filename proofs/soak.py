"""Proves that the service leaks nothing in half an hour of load, hot swaps and Redis restarts.

A real service with a real Redis answers events and recommendations. Meanwhile its bundle is swapped
and Redis is restarted, again and again. Its memory, file descriptors and connections are sampled
all the time, and the size of its log is read at the end. Growth is the median of the last fifth of
the samples minus the median of the second fifth.

python -m proofs soak [--minutes N] [--rate N]
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from math import floor
from pathlib import Path
from secrets import token_hex
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated
from urllib.request import urlopen

import psutil
from cyclopts import Parameter

from export.contract.bundles_folder import BundleLink
from proofs.fixtures.data.versions import version_of_example
from proofs.fixtures.load.visitors import Load
from proofs.fixtures.processes.redis_node import RedisNode
from proofs.fixtures.processes.waiting import free_port, wait_until, wait_until_ready
from proofs.fixtures.repeated import Repeated
from proofs.record import Figure

MIB = 2**20
SAMPLES = 200
MAX_GROWN_MIB = 10
MAX_GROWN_DESCRIPTORS = 5
MAX_LOG_BYTES_A_MINUTE = 10_000
BUNDLES = ("one", "other")
NEARLY_ALL = 0.9  # of the requests, swaps and restarts that are due; the last ones take a while


@dataclass(frozen=True)
class Sample:
    """The memory, file descriptors and connections that the service uses at one moment."""

    memory_mib: float
    descriptors: float
    connections: float
    redis_clients: float


class Service:
    """A process of `python -m service` with a folder of two bundles and a Redis."""

    def __init__(self, folder: Path, redis: RedisNode) -> None:
        self.port = free_port()
        self.redis = redis
        self.link = _two_bundles(folder / "bundles")
        self.log = folder / "log"
        settings = {
            "BUNDLE_PATH": str(self.link.path),
            "PORT": str(self.port),
            "REDIS_URL": f"redis://127.0.0.1:{self.redis.port}",
            "SESSION_SECRET": token_hex(32),
        }
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "service"], env=os.environ | settings, stderr=log
            )
        wait_until_ready(f"http://127.0.0.1:{self.port}", self._process)
        self._usage = psutil.Process(self._process.pid)

    def close(self) -> None:
        """Ends the service."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=30)

    def sample(self) -> Sample | None:
        """Measures what the service uses now; returns None while Redis is restarted."""
        with suppress(Exception):  # redis-py raises several kinds while Redis starts
            return Sample(
                self._usage.memory_info().rss / MIB,
                self._usage.num_fds(),
                len(self._usage.net_connections()),
                self.redis.client.info("clients")["connected_clients"],
            )
        return None

    def swap(self) -> None:
        """Makes the other of the two bundles the active one, and waits until it is served."""
        before = self._version()
        (other,) = (each for each in BUNDLES if each != self.link.bundle)
        self.link.move(other)
        wait_until(lambda: self._version() not in (None, before))

    def restart_redis(self) -> None:
        """Kills Redis and starts it again from its append-only file."""
        self.redis.kill()
        self.redis.start(while_loading=True)

    def _version(self) -> object:
        answer = self._get("/v1/model")
        return json.loads(answer)["model_version"] if answer else None

    def _get(self, path: str) -> bytes:
        with suppress(OSError), urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            content: bytes = answer.read()
            return content
        return b""


def _two_bundles(folder: Path) -> BundleLink:
    """Copies the example bundle twice into `folder`; returns the link to the first copy."""
    link = BundleLink(folder / "active")
    for name in BUNDLES:
        version_of_example(link.folder(name), name)
    link.move(BUNDLES[0])
    return link


def grown(samples: Sequence[Sample], name: str) -> float:
    """Returns how much the field `name` of the samples grew.

    It is the median of the last fifth minus the median of the second fifth.
    """
    values: list[float] = [getattr(each, name) for each in samples]
    fifth = max(1, len(values) // 5)
    return median(values[-fifth:]) - median(values[fifth : 2 * fifth] or values[:1])


def prove(
    *,
    minutes: Annotated[float, Parameter(help="How long the load runs.")] = 30,
    rate: Annotated[float, Parameter(help="Requests a second.")] = 500,
    swap_seconds: Annotated[float, Parameter(help="Time between two swaps of the bundle.")] = 60,
    restart_seconds: Annotated[float, Parameter(help="Time between restarts of Redis.")] = 300,
) -> Iterator[Figure]:
    """Run load, bundle swaps and Redis restarts for half an hour."""
    samples: list[Sample] = []
    with TemporaryDirectory() as name, ExitStack() as parts:
        redis = RedisNode(Path(name) / "redis", free_port())
        parts.callback(redis.client.close)
        parts.callback(redis.kill)
        service = Service(Path(name), redis)
        parts.callback(service.close)
        load = Load(service.port, rate, "soak")
        restarts = Repeated(service.restart_redis, restart_seconds)
        swaps = Repeated(service.swap, swap_seconds)
        with load, restarts, swaps:
            until = time.monotonic() + minutes * 60
            while time.monotonic() < until:
                time.sleep(minutes * 60 / SAMPLES)
                samples += [each for each in [service.sample()] if each]
        log_bytes = service.log.stat().st_size
    yield from _load_figures(load, minutes, rate)
    for name, repeated in (("swaps", swaps), ("restarts of Redis", restarts)):
        due = minutes * 60 / repeated.seconds
        unit = name.partition(" ")[0]
        yield Figure(name, unit, repeated.num_done, at_least=floor(NEARLY_ALL * due))
    yield from _usage_figures(samples)
    log_rate = log_bytes / minutes
    yield Figure("log", "bytes a minute", log_rate, at_most=MAX_LOG_BYTES_A_MINUTE)


def _load_figures(load: Load, minutes: float, rate: float) -> Iterator[Figure]:
    answered = len(load.answers) / minutes / 60
    yield Figure("answers", "answers a second", answered, at_least=NEARLY_ALL * rate)
    errors = sum(each.status >= 400 for each in load.answers)
    yield Figure("errors and lost connections", "answers", errors, at_most=0)
    degraded = sum(each.is_degraded for each in load.answers)
    yield Figure("degraded", "share", degraded / max(1, len(load.answers)))


def _usage_figures(samples: Sequence[Sample]) -> Iterator[Figure]:
    yield Figure("memory at the end", "MiB", samples[-1].memory_mib)
    yield Figure("memory: growth", "MiB", grown(samples, "memory_mib"), at_most=MAX_GROWN_MIB)
    for name in ("descriptors", "connections", "redis_clients"):
        label = name.replace("_", " ")
        most = MAX_GROWN_DESCRIPTORS
        yield Figure(f"{label}: growth", label, grown(samples, name), at_most=most)
