"""Compares the CPU time of a command on a Redis Cluster with that on a single Redis.

The cluster has six nodes, three of them replicas. Rounds on both take turns, so that other load of
the machine meets both. The target is for commands that arrive as those of a service do, at random
times: at 300 a second, and at what a worker can answer. Beside it stand commands in bursts: of
those that are sent in one turn of the event loop, a single Redis gets all in one write, each
primary its own in one, so three sockets are written and read instead of one.
`python -m proofs chaos` kills a primary under load.
"""

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from proofs.fixtures.processes.redis_cluster import running_nodes
from proofs.fixtures.processes.redis_node import RedisNode
from proofs.fixtures.processes.waiting import free_ports
from proofs.record import Figure
from service.stores.redis_client import RedisCommands, connect_cluster, connect_shared

_RATES = (300, 2_000)
_AT_ONCE = (1, 8, 32)
_SECONDS = 5.0  # the machine may be busy: the proof measures CPU time, not waiting
_KEYS = [f"s:{{{number:02}}}:v1.session" for number in range(64)]

_Measure = Callable[[RedisCommands], Awaitable[float]]
"""Returns the CPU time of a command, in µs."""


def prove(*, rounds: int = 15, commands: int = 4_000) -> Iterator[Figure]:
    """Measures the CPU time of a command, by how commands arrive.

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
        found = asyncio.run(_measure_all(*urls, rounds, commands))
    for name, runs in found.items():
        alone, cluster = (statistics.median(each) for each in zip(*runs, strict=True))
        ratio = statistics.median(cluster / alone for alone, cluster in runs)
        yield Figure(f"single Redis, {name}", "µs CPU", alone)
        yield Figure(f"cluster, {name}", "µs CPU", cluster)
        target = None if name in map(_burst, _AT_ONCE[1:]) else 1.5
        yield Figure(f"cluster to single, {name}", "times", ratio, at_most=target)


def _burst(at_once: int) -> str:
    return f"{at_once} at once"


async def _measure_all(
    single_url: str, cluster_url: str, rounds: int, commands: int
) -> dict[str, list[tuple[float, float]]]:
    """Returns pairs of CPU times on the single Redis and on the cluster, by how commands arrive."""
    single = connect_shared(single_url, timeout_seconds=_SECONDS)
    cluster = connect_cluster(cluster_url, timeout_seconds=_SECONDS)
    measures: dict[str, _Measure] = {
        f"{rate} a second": partial(_cpu_us_at_rate, rate, min(commands, 2 * rate))
        for rate in _RATES
    }
    measures |= {_burst(each): partial(_cpu_us_at_once, each, commands) for each in _AT_ONCE}
    try:
        for client in (single, cluster):
            await _cpu_us_at_once(1, 10 * len(_KEYS), client)
        return {
            name: [(await measure(single), await measure(cluster)) for _ in range(rounds)]
            for name, measure in measures.items()
        }
    finally:
        await single.aclose()
        await cluster.aclose()


async def _cpu_us_at_rate(rate: int, commands: int, client: RedisCommands) -> float:
    """Returns the CPU time of a command of those that arrive at random times, `rate` a second.

    The time that it takes to wait for an arrival and to start a task is not a command's: it is
    measured without commands, and subtracted.
    """
    return await _cpu_us_of_arrivals(rate, commands, client) - await _cpu_us_of_arrivals(
        rate, commands, None
    )


async def _cpu_us_of_arrivals(rate: int, commands: int, client: RedisCommands | None) -> float:
    pauses = random.Random(0)  # noqa: S311 - draws times, no secrets
    loop = asyncio.get_running_loop()
    began, due = time.process_time(), loop.time()
    async with asyncio.TaskGroup() as tasks:
        for number in range(commands):
            due += pauses.expovariate(rate)
            await asyncio.sleep(due - loop.time())
            tasks.create_task(_send(client, number))
    return (time.process_time() - began) / commands * 1e6


async def _cpu_us_at_once(at_once: int, commands: int, client: RedisCommands) -> float:
    """Returns the CPU time of a command of those that `at_once` callers send one after another."""
    numbers = iter(range(commands))

    async def send() -> None:
        for number in numbers:
            await _send(client, number)

    began = time.process_time()
    await asyncio.gather(*(send() for _ in range(at_once)))
    return (time.process_time() - began) / commands * 1e6


async def _send(client: RedisCommands | None, number: int) -> None:
    if client is None:
        return
    await client.execute_command("RPUSH", _KEYS[number % len(_KEYS)], "item")
    if number % 1_000 == 0:
        await client.execute_command("LTRIM", _KEYS[number % len(_KEYS)], -9, -1)
