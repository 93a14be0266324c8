"""Runs the processes that faults are tried on: a Redis with a replica, a proxy and a service."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from os import environ
from pathlib import Path
from secrets import token_hex
from urllib.request import urlopen

from redis import Redis
from redis.exceptions import ConnectionError as LostError

from proofs.fixtures.fault_proxy import FaultProxy

SESSION_SECRET = token_hex(32)
_PATIENCE_SECONDS = 60


class RedisNode:
    """A process of redis-server whose append-only file keeps its data when it is killed."""

    def __init__(self, folder: Path, port: int, *options: str) -> None:
        folder.mkdir(parents=True)
        self.port = port
        self.client = Redis(port=port, decode_responses=True)
        self._command = [
            *("redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""),
            *("--dir", str(folder), "--appendonly", "yes", "--repl-diskless-sync-delay", "0"),
            *("--loading-process-events-interval-bytes", "1024"),
            *options,
        ]
        self.start()

    def start(self, *more: str, while_loading: bool = False) -> None:
        """Starts the server and waits until it answers.

        `more` are further options of redis-server. With `while_loading`, it may still be loading
        its file.
        """
        self.process = subprocess.Popen([*self._command, *more], stdout=subprocess.DEVNULL)
        wait_until(lambda: self.answers(while_loading))

    def kill(self) -> None:
        """Ends the process with SIGKILL."""
        self.process.kill()
        self.process.wait()

    def answers(self, while_loading: bool) -> bool:
        """Returns whether the server answers a PING.

        With `while_loading`, the error that it is still loading its file counts as an answer.
        """
        try:
            return bool(self.client.ping())
        except LostError as error:
            return while_loading and "loading" in str(error).lower()


def wait_until(holds: Callable[[], bool], seconds: float = _PATIENCE_SECONDS) -> None:
    """Waits until `holds()` is true; raises TimeoutError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the stack is not ready after {seconds:g} s")
        time.sleep(0.02)


@dataclass
class Stack:
    """A service that reaches its Redis through a proxy, and a replica of that Redis."""

    primary: RedisNode
    replica: RedisNode
    proxy: FaultProxy
    service_port: int


@contextmanager
def running_stack(folder: Path, bundle: Path, ports: Iterator[int]) -> Iterator[Stack]:
    """Runs a Redis, its replica, the proxy and a service for the duration of a `with` block."""
    with ExitStack() as parts:
        primary, replica = (RedisNode(folder / str(n), next(ports)) for n in range(2))
        parts.callback(primary.kill)
        parts.callback(replica.kill)
        replica.client.replicaof("127.0.0.1", primary.port)
        proxy = parts.enter_context(FaultProxy(primary.port))
        service = ServiceProcess(bundle, f"redis://127.0.0.1:{proxy.port}", next(ports))
        parts.callback(service.end)
        yield Stack(primary, replica, proxy, service.port)


class ServiceProcess:
    """A process of `python -m service`; `settings` are its further environment variables."""

    def __init__(self, bundle: Path, redis_url: str, port: int, **settings: str) -> None:
        self.port = port
        self._settings = {
            "BUNDLE_PATH": str(bundle),
            "SESSION_SECRET": SESSION_SECRET,
            "REDIS_URL": redis_url,
            "MAX_SESSION_LENGTH": "1000000",
            "PORT": str(port),
            **settings,
        }
        self.start()

    def start(self) -> None:
        """Starts the process and waits until it is ready."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "service"],
            env=environ | self._settings,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._is_ready)

    def kill(self) -> None:
        """Ends the process with SIGKILL."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """Ends the process with SIGTERM."""
        self._process.terminate()
        self._process.wait(_PATIENCE_SECONDS)

    def _is_ready(self) -> bool:
        with (
            suppress(OSError),
            urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=1) as answer,
        ):
            return bool(answer.status == 200)
        return False


def free_ports() -> Iterator[int]:
    """Yields, without end, TCP ports of this machine that nothing listens on."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        yield port
