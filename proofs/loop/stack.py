"""Runs a service with its event log, the nodes of its Redis, and a collector; kills each."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import cycle
from pathlib import Path

from proofs.fixtures.processes.redis_cluster import running_nodes
from proofs.fixtures.processes.redis_node import RedisNode
from proofs.fixtures.processes.service import ServiceProcess
from proofs.fixtures.processes.waiting import free_ports, wait_until
from training.events.log_folder import LogFolder

PATIENCE_SECONDS = 900

STORES = ("redis", "cluster", "embedded")
"""Where the service keeps its events: one Redis, a cluster of three nodes, or its own files."""

_SYNCED = ("--appendfsync", "always")


class Stack:
    """A service with its event log, the nodes of its Redis, and a collector; each can be killed.

    Attributes:
        log: the event log that the collector writes.
        service: the process of the service.
        redis: the nodes of the Redis; empty without one.
    """

    def __init__(self, folder: Path, bundle: Path, redis: Sequence[RedisNode], port: int) -> None:
        """Starts a service on `port` and a collector; `folder` holds their files."""
        self.log = LogFolder(str(folder / "log"))
        self.redis = redis
        self._next_node = cycle(redis)
        is_cluster = len(redis) > 1
        settings = {"EVENT_LOG": "on", "EVENT_LOG_PATH": str(folder / "segments")}
        url = f"redis://127.0.0.1:{redis[0].port}" if redis else ""
        self.service = ServiceProcess(bundle, url, port, REDIS_CLUSTER=str(is_cluster), **settings)
        source = ["--redis-url", url] if url else ["--segments", settings["EVENT_LOG_PATH"]]
        self._command = [sys.executable, "-m", "distilled_recommender", "collect", *source]
        self._command += [*(["--redis-cluster"] if is_cluster else []), self.log.address]
        self.start_collector()

    def start_collector(self) -> None:
        """Starts a collector that writes often."""
        options = ["--flush-seconds", "0.5", "--claim-seconds", "3", "--compact-minutes", "0.2"]
        self.collector = subprocess.Popen([*self._command, *options], stdout=subprocess.DEVNULL)

    def kill(self, name: str) -> None:
        """Kills one of the processes with SIGKILL, and starts it again.

        `name` is `service`, `collector` or `redis`; the nodes of a cluster take turns.
        """
        if name == "collector":
            self.collector.kill()
            self.collector.wait()
            self.start_collector()
        elif name == "redis":
            node = next(self._next_node)
            node.kill()
            node.start()
        elif name == "service":
            self.service.kill()
            self.service.start()

    def collect_the_rest(self) -> None:
        """Stops service and collector, and collects what they have left.

        A collector that fails since a node of a cluster was killed just before is started again.
        """
        self.collector.terminate()
        self.collector.wait(PATIENCE_SECONDS)
        self.service.end()
        command = [*self._command, "--once", "--claim-seconds", "0"]
        collected = partial(subprocess.call, command, stdout=subprocess.DEVNULL)
        wait_until(lambda: collected() == 0)

    def end(self) -> None:
        """Kills the service and the collector if they still run."""
        self.collector.kill()
        self.collector.wait()
        self.service.kill()


@contextmanager
def running_stack(folder: Path, bundle: Path, store: str) -> Iterator[Stack]:
    """Runs a stack with one of `STORES` for the duration of a `with` block; yields it."""
    ports = free_ports()
    with ExitStack() as parts:
        redis = []
        if store == "redis":
            redis = [RedisNode(folder / "redis", next(ports), *_SYNCED)]
            parts.callback(redis[0].kill)
        elif store == "cluster":
            redis = parts.enter_context(running_nodes(folder, ports, *_SYNCED, replicas=False))
        stack = Stack(folder, bundle, redis, next(ports))
        parts.callback(stack.end)
        yield stack
