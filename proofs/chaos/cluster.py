"""Runs a Redis Cluster of three primaries and replicas with a service, and kills a primary."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import RedisCluster
from redis.exceptions import RedisError

from proofs.chaos.stack import RedisNode, ServiceProcess, wait_until

_NUM_SLOTS = 16_384
_NUM_PRIMARIES = 3
_MAX_PORT = 65_535 - 10_000  # nodes talk to each other on port + 10,000
_NODE_TIMEOUT_MS = 500
_OPTIONS = (
    *("--cluster-enabled", "yes", "--cluster-node-timeout", str(_NODE_TIMEOUT_MS)),
    *("--cluster-require-full-coverage", "no"),
)


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
def running_nodes(
    folder: Path, ports: Iterator[int], *options: str, replicas: bool = True
) -> Iterator[list[RedisNode]]:
    """Runs the nodes of a Redis Cluster for the duration of a `with` block; primaries are first.

    There are three primaries, and with `replicas` a replica of each. `options` are further options
    of redis-server.
    """
    usable = (port for port in ports if port <= _MAX_PORT)
    with ExitStack() as parts:
        nodes = []
        for number in range((2 if replicas else 1) * _NUM_PRIMARIES):
            node = RedisNode(folder / f"node{number}", next(usable), *_OPTIONS, *options)
            nodes.append(node)
            parts.callback(nodes[-1].kill)
        _join(nodes)
        yield nodes


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


def _join(nodes: list[RedisNode]) -> None:
    primaries, replicas = nodes[:_NUM_PRIMARIES], nodes[_NUM_PRIMARIES:]
    for number, node in enumerate(primaries):
        first, last = (_NUM_SLOTS * each // _NUM_PRIMARIES for each in (number, number + 1))
        _cluster(node, "ADDSLOTSRANGE", first, last - 1)
    for node in nodes[1:]:
        _cluster(node, "MEET", "127.0.0.1", nodes[0].port)
    wait_until(lambda: all(_knows(node, len(nodes)) for node in nodes))
    for primary, replica in zip(primaries, replicas, strict=False):  # there may be no replicas
        _cluster(replica, "REPLICATE", _cluster(primary, "MYID"))
    wait_until(lambda: all(_is_complete(node) for node in nodes))


def _knows(node: RedisNode, count: int) -> bool:
    return int(_cluster(node, "INFO")["cluster_known_nodes"]) == count


def _is_complete(node: RedisNode) -> bool:
    """Returns whether `node` sees a complete cluster: all hash slots are served by the primaries.

    If `node` is a replica, it must also be connected to its primary.
    """
    state = _cluster(node, "INFO")
    if state["cluster_state"] != "ok" or int(state["cluster_size"]) != _NUM_PRIMARIES:
        return False
    role = node.client.role()
    return bool(role[0] == "master" or role[3] == "connected")


def _cluster(node: RedisNode, *words: str | int) -> Any:
    try:
        return node.client.cluster(*words)
    except RedisError as error:
        raise RuntimeError(f"CLUSTER {words[0]} on port {node.port}: {error}") from error
