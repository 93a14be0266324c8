"""Proves that hostile connections do not slow down other clients, and hostile bodies cost little.

A real service answers a client while thousands of hostile connections from other addresses are
open. Another process opens them, so that the client waits for the service alone. The client's p99
and longest latency are measured before and during the attack, each from the moment at which a
request was due. Other figures are the growth of the service's memory, at most, and how long each
kind of connection stays open: at most half a second longer than its deadline. At last each of the
dearest bodies that cannot be used is sent alone; its answer takes at least the time that it costs
the event loop.

python -m proofs hostile [--connections N] [--normal-seconds N] [--of-deadlines SHARE]
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Annotated

import httpx
import numpy as np
import psutil
from cyclopts import Parameter

from proofs.fixtures.load.hostile_bodies import HOSTILE
from proofs.fixtures.processes.program_cost import PeakMemory
from proofs.fixtures.processes.service import serving
from proofs.record import Figure
from service.http.protocol import BODY_SECONDS, HEADER_SECONDS

QUERY = {"history": ["1", "1196", "2571"], "k": 10}
POST = b"POST /v1/recommendations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
FLOOD_BYTES = 300 << 20
MIB = 2**20
RATE = 50  # requests a second
JSON = {"content-type": "application/json"}
TRIES = 5  # of each body
LATE_SECONDS = 0.5  # as promised: the service looks for connections to end twice a second
STILL_OPEN_SECONDS = 30  # after its deadline
MAX_NORMAL_MS = 20  # more is no normal p99, but a busy machine
MAX_BODY_MS = 50  # most that a body which cannot be used may keep the event loop


@dataclass(frozen=True)
class Kind:
    """A kind of hostile connection.

    Attributes:
        name: name in the figures.
        sent: what the client sends before it is silent.
        address: loopback address that the client connects from.
        seconds: time after which the service closes the connection, at its usual deadlines.
    """

    name: str
    sent: bytes
    address: str
    seconds: float


KINDS = (
    Kind("silent", b"", "127.0.0.2", HEADER_SECONDS),
    Kind("slow header", POST, "127.0.0.3", HEADER_SECONDS),
    Kind("slow body", POST + b"Content-Length: 9\r\n\r\n{", "127.0.0.4", BODY_SECONDS),
)


SHORTENED = """
from service.http import protocol
from service.__main__ import run
protocol.HEADER_SECONDS *= {share}
protocol.BODY_SECONDS *= {share}
run([])
"""
"""A program that serves with a share of the usual deadlines."""


async def latencies(port: int, until: asyncio.Event) -> list[float]:
    """Sends requests at `RATE` until the event is set; returns their latencies in milliseconds.

    No request waits for the answer to another one, and latency counts from the time at which the
    request was due. So a stall counts for all requests that are due meanwhile.

    Raises:
        ExceptionGroup: a request was not answered, or not with status 200.
    """
    times: list[float] = []
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:

        async def ask(due: float) -> None:
            response = await client.post(f"http://127.0.0.1:{port}/v1/recommendations", json=QUERY)
            response.raise_for_status()
            times.append((time.perf_counter() - due) * 1000)

        due = time.perf_counter()
        async with asyncio.TaskGroup() as requests:
            while not until.is_set():
                requests.create_task(ask(due))
                due += 1 / RATE
                await asyncio.sleep(max(0, due - time.perf_counter()))
    return times


async def stay(port: int, kind: Kind) -> float:
    """Opens a hostile connection; returns the seconds until the service closed it.

    They are infinite if it is still open `STILL_OPEN_SECONDS` after its deadline.
    """
    source = (kind.address, 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=source)
    started = time.monotonic()
    writer.write(kind.sent)
    try:
        await asyncio.wait_for(reader.read(), kind.seconds + STILL_OPEN_SECONDS)
    except TimeoutError:
        return float("inf")
    except ConnectionError:
        pass  # the service has closed it, too
    finally:
        writer.close()
    return time.monotonic() - started


async def flood(port: int, start: bytes) -> int:
    """Sends `start` and then up to 300 MB; returns the number of bytes sent after `start`.

    It stops when the service closes the connection, or after a timeout.
    """
    _, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.5", 0))
    writer.write(start)
    sent = 0
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(HEADER_SECONDS + LATE_SECONDS):
            while sent < FLOOD_BYTES:
                writer.write(b"x" * 65536)
                await writer.drain()
                sent += 65536
    writer.close()
    return sent


def attack(port: int, connections: int) -> tuple[dict[str, float], Sequence[int]]:
    """Returns what `_attack` returns."""
    return asyncio.run(_attack(port, connections))


async def _attack(port: int, connections: int) -> tuple[dict[str, float], Sequence[int]]:
    """Opens `connections` hostile connections of each kind at once, then floods the service.

    Returns:
        By kind, the longest time in seconds that a connection stayed open. Then, for each flood,
        the number of bytes that could be sent.
    """
    stays = {
        kind.name: [asyncio.create_task(stay(port, kind)) for _ in range(connections)]
        for kind in KINDS
    }
    floods = [await flood(port, each) for each in (b"GET / HTTP/1.1\r\nX: ", b"GET /")]
    longest = {name: max(await asyncio.gather(*tasks)) for name, tasks in stays.items()}
    return longest, floods


async def dearest(port: int, process: psutil.Process) -> tuple[float, float]:
    """Sends each hostile body alone.

    Returns the longest time of an answer in milliseconds, and the most memory that the service took
    for one, in MiB. Of several tries of a body the best counts: a garbage collection may take
    longer, and what the first one leaves behind is used by the next.

    Raises:
        RuntimeError: a body is not refused with status 422.
    """
    fastest, least = [], []
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        for name, (path, body) in HOSTILE.items():
            times, grown = [], []
            for _ in range(TRIES):
                memory, started = PeakMemory(process.pid), time.perf_counter()
                answer = await client.post(path, content=body, headers=JSON)
                times.append((time.perf_counter() - started) * 1000)
                grown.append(memory.grown_mib())
                if answer.status_code != httpx.codes.UNPROCESSABLE_ENTITY:
                    raise RuntimeError(f"{name}: answered {answer.status_code}")
            fastest.append(min(times))
            least.append(min(grown))
    return max(fastest), max(least)


async def _measure(
    connections: int, normal_seconds: float, share: float, attackers: Executor
) -> list[Figure]:
    program = ("-m", "service") if share == 1 else ("-c", SHORTENED.format(share=share))
    async with serving(program) as (port, process):
        quiet, over = asyncio.Event(), asyncio.Event()
        asyncio.get_running_loop().call_later(normal_seconds, quiet.set)
        normal = await latencies(port, quiet)
        memory = PeakMemory(process.pid)
        client = asyncio.create_task(latencies(port, over))
        longest, floods = await asyncio.get_running_loop().run_in_executor(
            attackers, attack, port, connections
        )
        over.set()
        meanwhile = await client
        grown = memory.grown_mib()
        of_bodies, grown_by_bodies = await dearest(port, process)
    figures = [
        *latency_figures(normal, meanwhile),
        Figure("memory grown", "MiB", grown, at_most=20),
        Figure("300 MB of headers: sent", "MiB", floods[0] / MIB, at_most=20),
        Figure("300 MB of URL: sent", "MiB", floods[1] / MIB, at_most=20),
    ]
    for kind in KINDS:
        limit = share * kind.seconds + LATE_SECONDS
        name = f"{connections} {kind.name} connections: longest"
        figures.append(Figure(name, "s", longest[kind.name], at_most=limit))
    bodies = f"dearest of {len(HOSTILE)} bodies that cannot be used: "
    figures.append(Figure(f"{bodies}memory grown", "MiB", grown_by_bodies, at_most=10))
    return [*figures, Figure(f"{bodies}answered in", "ms", of_bodies, at_most=MAX_BODY_MS)]


def latency_figures(normal: Sequence[float], meanwhile: Sequence[float]) -> list[Figure]:
    """Returns the p99 and the longest of latencies, in ms, before an attack and meanwhile.

    No request of the others may wait for more than what delays one of a hundred, and one piece of
    work on the event loop, as long as a hostile body may keep it busy.
    """
    before, during = (float(np.percentile(each, 99)) for each in (normal, meanwhile))
    limit = 2 * min(before, MAX_NORMAL_MS)
    return [
        Figure("p99 before", "ms", before),
        Figure("longest before", "ms", max(normal)),
        Figure("p99 meanwhile", "ms", during, at_most=limit),
        Figure("longest meanwhile", "ms", max(meanwhile), at_most=limit + MAX_BODY_MS),
    ]


def prove(
    *,
    connections: Annotated[int, Parameter(help="Hostile connections of each kind.")] = 1000,
    normal_seconds: Annotated[float, Parameter(help="Seconds of normal load before.")] = 30,
    of_deadlines: Annotated[float, Parameter(help="Share of the usual deadlines.")] = 1,
) -> Iterator[Figure]:
    """Attack a service with slow, silent and endless connections, and with dear bodies."""
    with ProcessPoolExecutor(1, get_context("spawn")) as attackers:
        attackers.submit(time.monotonic).result()  # it has started before the service is measured
        yield from asyncio.run(_measure(connections, normal_seconds, of_deadlines, attackers))
