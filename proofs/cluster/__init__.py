"""Compares the CPU time of a command on a Redis Cluster with that on Redis without a cluster.

The cluster has six nodes, three of them replicas. It is compared with one Redis, and with three
that share the commands, each on a shared connection of its own. What three processes cost, any
client pays: more sockets are written and read where one gets all commands of an event-loop turn in
one write, and each process that sleeps is woken, by a sender on the same machine. Commands arrive
as those of a service do, at random times, 300 a second and as many as a worker can answer; and in
a closed loop, 1, 8 or 32 at once. Rounds take turns, so that other load of the machine meets all.

The machine's cores are kept awake, as those of a machine that works are: on a virtual machine the
CPU time of waking one is more than that of a command, and differs from hour to hour. For 300
commands a second that is measured, too. `python -m proofs chaos` kills a primary under load.
"""

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from proofs.cluster.awake import awake_cores
from proofs.fixtures.processes.redis_cluster import running_nodes
from proofs.fixtures.processes.redis_node import RedisNode
from proofs.fixtures.processes.waiting import free_ports
from proofs.record import Figure
from service.stores.redis_client import RedisCommands, connect_cluster, connect_shared
from service.stores.redis_connection import SharedConnection

_RATES = (300, 2_000)
_AT_ONCE = (1, 8, 32)
_LIMITED = ("300 a second", "1 at once")  # where one Redis, too, gets each command by itself
_ASLEEP = "300 a second, cores asleep"
_SECONDS = 5.0  # the machine may be busy: the proof measures CPU time, not waiting
_KINDS = ("one Redis", "three Redis", "cluster")
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
        singles = [RedisNode(Path(folder) / f"single-{each}", next(ports)) for each in range(3)]
        for each in singles:
            parts.callback(each.kill)
        nodes = parts.enter_context(running_nodes(Path(folder), ports))
        found = asyncio.run(_measure_all(singles, nodes[0], rounds, commands))
    for arrival, runs in found.items():
        for kind in _KINDS:
            middle = statistics.median(each[kind] for each in runs)
            yield Figure(f"{kind}, {arrival}", "µs CPU", middle)
        for kind in _KINDS[:2]:
            ratios = [each["cluster"] / each[kind] for each in runs]
            limit = 1.5 if _is_limited(kind, arrival) else None
            yield from _ratio_figures(f"cluster to {kind}, {arrival}", ratios, limit)


def _is_limited(kind: str, arrival: str) -> bool:
    return arrival in _LIMITED or (kind == "three Redis" and arrival != _ASLEEP)


def _ratio_figures(name: str, ratios: Sequence[float], at_most: float | None) -> Iterator[Figure]:
    """Yields the median of `ratios`, which `at_most` bounds, and the quartiles beside it."""
    lower, median, upper = map(float, np.percentile(ratios, [25, 50, 75]))
    yield Figure(name, "times", median, at_most=at_most)
    yield Figure(f"{name}: lower quartile", "times", lower)
    yield Figure(f"{name}: upper quartile", "times", upper)


async def _measure_all(
    singles: list[RedisNode], node: RedisNode, rounds: int, commands: int
) -> dict[str, list[dict[str, float]]]:
    """Returns the CPU times of each kind of Redis in each round, by how commands arrive."""
    urls = [f"redis://127.0.0.1:{each.port}" for each in singles]
    alone = [connect_shared(each, timeout_seconds=_SECONDS) for each in urls]
    cluster = connect_cluster(f"redis://127.0.0.1:{node.port}", timeout_seconds=_SECONDS)
    each_kind: tuple[RedisCommands, ...] = (alone[0], _InTurn(alone), cluster)
    clients = dict(zip(_KINDS, each_kind, strict=True))
    try:
        for client in clients.values():
            await _cpu_us_at_once(1, 10 * len(_KEYS), client)
        with awake_cores():
            found = {
                arrival: await _in_turns(measure, clients, rounds)
                for arrival, measure in _measures(commands).items()
            }
        asleep = partial(_cpu_us_at_rate, _RATES[0], min(commands, 2 * _RATES[0]))
        return found | {_ASLEEP: await _in_turns(asleep, clients, rounds)}
    finally:
        for client in clients.values():
            await client.aclose()


async def _in_turns(
    measure: _Measure, clients: Mapping[str, RedisCommands], rounds: int
) -> list[dict[str, float]]:
    """Returns the CPU times that `measure` gives of each client, in each round."""
    return [
        {kind: await measure(client) for kind, client in clients.items()} for _ in range(rounds)
    ]


def _measures(commands: int) -> dict[str, _Measure]:
    """Returns what measures each way in which commands arrive."""
    measures: dict[str, _Measure] = {}
    for rate in _RATES:
        measures[f"{rate} a second"] = partial(_cpu_us_at_rate, rate, min(commands, 2 * rate))
    for each in _AT_ONCE:
        measures[f"{each} at once"] = partial(_cpu_us_at_once, each, commands)
    return measures


class _InTurn:
    """A client that sends each command on the next of its connections."""

    def __init__(self, connections: Sequence[SharedConnection]) -> None:
        self._connections = connections
        self._in_turn = cycle(connections)

    async def execute_command(self, *parts: str | int) -> Any:
        return await next(self._in_turn).execute_command(*parts)

    async def aclose(self) -> None:
        for each in self._connections:
            await each.aclose()


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
