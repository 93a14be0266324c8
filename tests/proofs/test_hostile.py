"""A short form of `python -m proofs hostile`: what holds on a machine of any speed."""

import asyncio
import math
import os
from mmap import mmap

from proofs.fixtures.processes.program_cost import PeakMemory
from proofs.hostile import RATE, latencies, latency_figures, prove


def test_hostile_connections_are_bounded_and_all_end_and_hostile_bodies_are_refused() -> None:
    figures = list(prove(connections=30, normal_seconds=0.5, of_deadlines=0.2))
    bounded = [each for each in figures if each.unit == "MiB"]
    assert [each.name for each in bounded] == [
        "memory grown",
        "300 MB of headers: sent",
        "300 MB of URL: sent",
        "dearest of 12 bodies that cannot be used: memory grown",
    ]
    assert [each.name for each in bounded if not each.holds] == []
    ended = [each for each in figures if each.name.endswith("connections: longest")]
    assert len(ended) == 3
    assert all(math.isfinite(each.value) for each in ended)
    assert figures[-1].name == "dearest of 12 bodies that cannot be used: answered in"
    assert math.isfinite(figures[-1].value)


def test_memory_that_is_given_back_counts() -> None:
    memory = PeakMemory(os.getpid())
    with mmap(-1, 64 << 20) as content:  # no allocator keeps it, as training lets malloc do
        for page in range(0, len(content), 4_096):
            content[page] = 1
    assert 60 < memory.grown_mib() < 80
    assert PeakMemory(os.getpid()).grown_mib() < 60


def test_a_stall_counts_for_every_request_that_is_due_meanwhile() -> None:
    times = asyncio.run(latencies_of_a_server_that_stalls(0.5))
    # Those that were due in its first half have waited for its second half at least.
    assert sum(each > 250 for each in times) >= 0.5 / 2 * RATE - 1


async def latencies_of_a_server_that_stalls(seconds: float) -> list[float]:
    """Measures a server that answers nothing for `seconds`, then everything."""
    stalled, over = asyncio.Event(), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            await stalled.wait()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        measuring = asyncio.create_task(latencies(server.sockets[0].getsockname()[1], over))
        await asyncio.sleep(seconds)
        stalled.set()
        over.set()
        return await measuring


def test_one_request_that_waits_long_misses_the_bar_that_the_p99_meets() -> None:
    normal = [3.0] * 1_000
    held = {each.name: each.holds for each in latency_figures(normal, [*normal, 57.0])}
    assert held["p99 meanwhile"]
    assert not held["longest meanwhile"]
    assert all(each.holds for each in latency_figures(normal, [*normal, 55.0]))
