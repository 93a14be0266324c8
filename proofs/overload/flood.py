"""A flood of requests from a process of its own, as from clients on another machine.

The process has the core of the load generator, at the lowest priority. So the streams whose latency
is measured do not wait for the flood's own work, which no client of another machine would notice.
"""

import asyncio
import multiprocessing
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import uvloop

from proofs.overload.load import Answer, Stream
from proofs.overload.stage import no_garbage_collection

_LOWEST_PRIORITY = 19
_SPAWN = multiprocessing.get_context("spawn")

_Streams = Sequence[tuple[Sequence[bytes], float]]
"""Encoded requests, and how many of them to send in a second, for each stream."""


@dataclass
class Flood:
    """What a flood has sent, known once it is over.

    Attributes:
        answers: the end of each request that was sent.
        unsent: number of requests that found no free connection.
    """

    answers: list[Answer] = field(default_factory=list)
    unsent: int = 0


@asynccontextmanager
async def flooding(
    port: int, requests: Mapping[str, Sequence[bytes]], rates: Mapping[str, float]
) -> AsyncIterator[Flood]:
    """Sends requests of each kind in `rates` to `port`, for the duration of a `with` block.

    Args:
        port: TCP port of the service.
        requests: encoded requests by kind.
        rates: requests a second by kind.
    """
    ours, theirs = _SPAWN.Pipe()
    streams = [(requests[kind], rate) for kind, rate in rates.items()]
    process = _SPAWN.Process(target=_flood, args=(theirs, port, streams), daemon=True)
    process.start()
    theirs.close()
    flood = Flood()
    try:
        await asyncio.to_thread(ours.recv)  # the process has started
        ours.send("begin")
        yield flood
        ours.send("end")
        flood.answers, flood.unsent = await asyncio.to_thread(ours.recv)
    finally:
        ours.close()
        process.kill()
        process.join()


def _flood(
    control: Connection, port: int, streams: Sequence[tuple[Sequence[bytes], float]]
) -> None:
    """Runs in the process of the flood: sends from one message until the next, then reports."""
    os.nice(_LOWEST_PRIORITY)
    control.send("ready")
    control.recv()
    with (
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        no_garbage_collection(),
    ):
        control.send(runner.run(_send(control, port, streams)))


async def _send(control: Connection, port: int, streams: _Streams) -> tuple[list[Answer], int]:
    over = asyncio.Event()
    running = [Stream(port, requests) for requests, _ in streams]
    tasks = [
        asyncio.create_task(stream.at_rate(rate, over))
        for stream, (_, rate) in zip(running, streams, strict=True)
    ]
    asyncio.get_running_loop().add_reader(control.fileno(), over.set)
    await asyncio.gather(*tasks)
    answers = [each for stream in running for each in stream.answers]
    return answers, sum(each.unsent for each in running)
