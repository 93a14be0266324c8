"""Runs a Redis Cluster of three primaries and replicas with a service, and kills a primary."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import inf, isinf
from pathlib import Path
from threading import Thread

from redis import RedisCluster

from proofs.fixtures.processes.redis_cluster import running_nodes
from proofs.fixtures.processes.redis_node import RedisNode
from proofs.fixtures.processes.service import ServiceProcess
from proofs.fixtures.processes.waiting import PATIENCE_SECONDS, wait_until


@dataclass
class ClusterStack:
    """A service and its Redis Cluster.

    Attributes:
        nodes: the nodes; the first is the primary that the fault kills.
        client: a client of the cluster.
        service_port: port of the service.
        promoted_at: time, by `time.monotonic`, at which the killed primary's replica had taken
            over; infinite until then.
    """

    nodes: list[RedisNode]
    client: RedisCluster
    service_port: int
    promoted_at: float = inf


@contextmanager
def running_cluster_stack(
    folder: Path, bundle: Path, ports: Iterator[int]
) -> Iterator[ClusterStack]:
    """Runs six Redis nodes and a service for the duration of a `with` block; yields them."""
    with ExitStack() as parts:
        nodes = parts.enter_context(running_nodes(folder, ports))
        client = RedisCluster(host="127.0.0.1", port=nodes[1].port, decode_responses=True)
        parts.callback(client.close)
        url = f"redis://127.0.0.1:{nodes[1].port}"
        service = ServiceProcess(bundle, url, next(ports), REDIS_CLUSTER="true")
        parts.callback(service.end)
        yield ClusterStack(nodes, client, service.port)


@contextmanager
def primary_killed(stack: ClusterStack) -> Iterator[None]:
    """Kills a primary with SIGKILL, so that its replica takes over, and notes when it has.

    When the `with` block ends, the killed node is started again and becomes a replica.

    Raises:
        TimeoutError: no replica has taken over, so nothing is known of the time after it.
    """
    stack.nodes[0].kill()
    watching = Thread(target=_note_promotion, args=(stack,), daemon=True)
    watching.start()
    try:
        yield
        watching.join(PATIENCE_SECONDS)
        if isinf(stack.promoted_at):
            raise TimeoutError("no replica has taken over")
    finally:
        stack.nodes[0].start()


def _note_promotion(stack: ClusterStack) -> None:
    """Asks another node for the primary of the first slot until it is not the killed one."""
    killed = stack.nodes[0].port
    wait_until(lambda: _primary_port(stack.nodes[1]) != killed)
    stack.promoted_at = time.monotonic()


def _primary_port(node: RedisNode) -> int:
    """Returns the port of the primary of slot 0, as `node` knows it."""
    ranges = node.client.execute_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call]
    (port,) = (each[2][1] for each in ranges if each[0] == 0)
    return int(port)
