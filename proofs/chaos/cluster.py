"""Runs a Redis Cluster of three primaries and replicas with a service, and kills a primary."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis import RedisCluster

from proofs.fixtures.processes.redis_cluster import running_nodes
from proofs.fixtures.processes.redis_node import RedisNode
from proofs.fixtures.processes.service import ServiceProcess


@dataclass
class ClusterStack:
    """A service and its Redis Cluster; the first of `nodes` is the primary that the fault kills."""

    nodes: list[RedisNode]
    client: RedisCluster
    service_port: int


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
    """Kills a primary with SIGKILL, so that its replica takes over.

    When the `with` block ends, the killed node is started again and becomes a replica.
    """
    stack.nodes[0].kill()
    try:
        yield
    finally:
        stack.nodes[0].start()
