"""Runs the processes that faults are tried on: a Redis with a replica, a proxy and a service."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from proofs.fixtures.processes.fault_proxy import FaultProxy
from proofs.fixtures.processes.redis_node import RedisNode
from proofs.fixtures.processes.service import ServiceProcess


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
