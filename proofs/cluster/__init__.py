"""Compares the CPU time of a command on a Redis Cluster with that on a single Redis.

The cluster has six nodes, three of them replicas. Rounds on both take turns, so that other load of
the machine meets both. Of commands that are sent in one turn of the event loop, a single Redis gets
all in one write, each primary its own in one; so the target is for commands one by one, which is
what a service with some hundred requests a second sends. `python -m proofs chaos` kills a primary
under load.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from proofs.fixtures.processes.redis_cluster import running_nodes
from proofs.fixtures.processes.redis_node import RedisNode
from proofs.fixtures.processes.waiting import free_ports
from proofs.record import Figure
from service.stores.redis_client import RedisCommands, connect_cluster, connect_shared

_AT_ONCE = (1, 8, 32)
_SECONDS = 5.0  # the machine may be busy: the proof measures CPU time, not waiting
_KEYS = [f"s:{{{number:02}}}:v1.session" for number in range(64)]


def prove(*, rounds: int = 15, commands: int = 4_000) -> Iterator[Figure]:
    """Measures the CPU time of a command, by the number of commands at once.

    Args:
        rounds: number of measurements of each figure.
        commands: number of commands in a measurement.
    """
    with tempfile.TemporaryDirectory() as folder, ExitStack() as parts:
        ports = free_ports()
        single = RedisNode(Path(folder) / "single", next(ports))
        parts.callback(single.kill)
        nodes = parts.enter_context(running_nodes(Path(folder), ports))
        urls = (f"redis://127.0.0.1:{single.port}", f"redis://127.0.0.1:{nodes[0].port}")
        found = asyncio.run(_measure(*urls, rounds, commands))
    for at_once, runs in found.items():
        alone, cluster = (statistics.median(each) for each in zip(*runs, strict=True))
        ratio = statistics.median(cluster / alone for alone, cluster in runs)
        yield Figure(f"single Redis, {at_once} at once", "µs CPU", alone)
        yield Figure(f"cluster, {at_once} at once", "µs CPU", cluster)
        target = 1.5 if at_once == 1 else None
        yield Figure(f"cluster to single, {at_once} at once", "times", ratio, at_most=target)


async def _measure(
    single_url: str, cluster_url: str, rounds: int, commands: int
) -> dict[int, list[tuple[float, float]]]:
    single = connect_shared(single_url, timeout_seconds=_SECONDS)
    cluster = connect_cluster(cluster_url, timeout_seconds=_SECONDS)
    try:
        for client in (single, cluster):
            await _cpu_us(client, 1, 10 * len(_KEYS))
        return {
            at_once: [
                (
                    await _cpu_us(single, at_once, commands),
                    await _cpu_us(cluster, at_once, commands),
                )
                for _ in range(rounds)
            ]
            for at_once in _AT_ONCE
        }
    finally:
        await single.aclose()
        await cluster.aclose()


async def _cpu_us(client: RedisCommands, at_once: int, commands: int) -> float:
    """Returns the CPU time of this process for a command, in µs."""
    numbers = iter(range(commands))

    async def send() -> None:
        for number in numbers:
            await client.execute_command("RPUSH", _KEYS[number % len(_KEYS)], "item")
            if number % 1_000 == 0:
                await client.execute_command("LTRIM", _KEYS[number % len(_KEYS)], -9, -1)

    began = time.process_time()
    await asyncio.gather(*(send() for _ in range(at_once)))
    return (time.process_time() - began) / commands * 1e6
