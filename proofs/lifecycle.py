"""Proves that SIGTERM at any moment ends the service in time, with code 0, and loses no request.

A service with one worker or two is under load, one client changes items in bulk, for as long
as a request may work, and 200 slow clients hold connections with parts of requests. SIGTERM comes
at a random moment; in half of the runs, while the service starts.

A request is accepted if it was sent after the service was first ready, and at most DRAIN_SECONDS
after SIGTERM. An accepted request fails if it gets no whole answer with status 200. Later requests
may get no answer, but an answer that has begun must be whole.

python -m proofs lifecycle [--moments N] [--seed N]
"""

import asyncio
import json
import os
import random
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from cyclopts import Parameter

from proofs.fixtures.places import EXAMPLE
from proofs.fixtures.processes.redis_node import RedisNode
from proofs.fixtures.processes.waiting import free_port
from proofs.record import Figure
from training.progress import ProgressBar

DRAIN_SECONDS = 1.0
ACCEPTED_SECONDS = DRAIN_SECONDS  # after SIGTERM, for which a request is accepted
END_SECONDS = 2.0
READY_SECONDS = 60.0
MAX_SECONDS_READY = 2.0
NUM_SLOW = 200
NUM_CLIENTS = 8  # half of them open a connection for each request
PAUSE_SECONDS = 0.02
NUM_CHANGES = 10_000
HEAD = b"POST /v1/recommendations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
SLOW = (HEAD, HEAD + b"Content-Length: 9\r\n\r\n{")


def with_body(head: bytes, content: object) -> bytes:
    """Returns a request with `content` as JSON; `head`: its request line and first headers."""
    body = json.dumps(content).encode()
    return head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


READ = with_body(HEAD, {"history": ["1", "1196", "2571"], "k": 5})


def write() -> bytes:
    """Returns a request that changes titles in bulk, for longer than a worker takes to end."""
    lines = (EXAMPLE / "items.jsonl").read_text(encoding="utf-8").splitlines()
    item_ids = cycle([json.loads(line)["item_id"] for line in lines])
    changes = [{"item_id": next(item_ids), "title": f"Title {n}"} for n in range(NUM_CHANGES)]
    head = HEAD.replace(b"/recommendations", b"/items/bulk") + b"Prefer: wait=10\r\n"
    return with_body(head, {"items": changes})


@dataclass(frozen=True)
class Request:
    """A request that was sent, and how it ended.

    Attributes:
        sent_at: time of the client's last step (opening the connection, or writing the request), by
            `time.monotonic`.
        is_begun: whether a part of the answer came.
        is_answered: whether a whole answer with status 200 came.
    """

    sent_at: float
    is_begun: bool
    is_answered: bool


@dataclass
class Load:
    """Clients that send requests to a ready service until `is_over` is set."""

    port: int
    requests: list[Request] = field(default_factory=list)
    is_over: bool = False

    async def run(self) -> None:
        """Sends requests until `is_over` is set, and holds slow connections meanwhile."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(NUM_SLOW):
                tasks.create_task(self._hold(SLOW[number % len(SLOW)]))
            for number in range(NUM_CLIENTS):
                tasks.create_task(self._ask(READ, keep_alive=number % 2 == 0))
            tasks.create_task(self._ask(write(), keep_alive=True))

    async def _hold(self, part: bytes) -> None:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(part)
            await reader.read()
            writer.close()

    async def _ask(self, request: bytes, *, keep_alive: bool) -> None:
        streams = None
        while not self.is_over:
            sent_at, head, is_whole = time.monotonic(), b"", False
            with suppress(OSError, EOFError):
                streams = streams or await asyncio.open_connection("127.0.0.1", self.port)
                streams[1].write(request)
                sent_at = time.monotonic()
                head = await streams[0].read(12)
                head += await streams[0].readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split()[0])
                await streams[0].readexactly(length)
                is_whole = head.startswith(b"HTTP/1.1 200")
            self.requests.append(Request(sent_at, bool(head), is_whole))
            is_closed = b"connection: close" in head.lower()
            if streams and (is_closed or not (is_whole and keep_alive)):
                streams[1].close()
                streams = None
            await asyncio.sleep(PAUSE_SECONDS)


@dataclass(frozen=True)
class End:
    """How a service ended after SIGTERM.

    Attributes:
        exit_code: exit code of the process.
        seconds: time from SIGTERM to the end of the process.
        num_answered: number of requests with a whole answer of status 200.
        num_failed: number of requests that failed, by the rules of this module.
    """

    exit_code: int
    seconds: float
    num_answered: int
    num_failed: int


async def end_at(moment: float, settings: dict[str, str], *, in_start: bool) -> End:
    """Starts a service, sends SIGTERM after `moment`, and returns how the service ended.

    Args:
        moment: seconds from the start of the process, or from when the service is ready.
        settings: environment variables of the service.
        in_start: whether `moment` counts from the start of the process.
    """
    # Until it can handle the signal, it is blocked, as in the image.
    program = ("env", "--block-signal=TERM", sys.executable, "-m", "service")
    process = await asyncio.create_subprocess_exec(
        *program, env=os.environ | settings, stderr=asyncio.subprocess.DEVNULL
    )
    load, clients = Load(int(settings["PORT"])), None
    try:
        if not in_start:
            await ready(load.port, process)
            clients = asyncio.create_task(load.run())
        await asyncio.sleep(moment)
        signalled = time.monotonic()
        process.send_signal(signal.SIGTERM)
        exit_code = await asyncio.wait_for(process.wait(), READY_SECONDS)
        seconds = time.monotonic() - signalled
    finally:
        load.is_over = True
        if process.returncode is None:
            process.kill()
        if clients:
            await clients
    failed = [
        each
        for each in load.requests
        if not each.is_answered and (each.is_begun or each.sent_at < signalled + ACCEPTED_SECONDS)
    ]
    num_answered = sum(each.is_answered for each in load.requests)
    return End(exit_code, seconds, num_answered, len(failed))


async def ready(port: int, process: Process) -> float:
    """Waits until the service is ready; returns the seconds waited.

    Raises:
        RuntimeError: the process ended before.
        TimeoutError: the service is not ready within READY_SECONDS.
    """
    started = time.monotonic()
    while time.monotonic() < started + READY_SECONDS:
        if process.returncode is not None:
            raise RuntimeError(f"the service ended with {process.returncode} before it was ready")
        with suppress(OSError, EOFError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
            writer.close()
            if answer.startswith(b"HTTP/1.1 200"):
                return time.monotonic() - started
        await asyncio.sleep(0.02)
    raise TimeoutError(f"port {port}: not ready within {READY_SECONDS} s")


async def start_seconds(settings: dict[str, str]) -> float:
    """Starts a service, and returns the seconds until it is ready."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service"),
        env=os.environ | settings,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        return await ready(int(settings["PORT"]), process)
    finally:
        process.kill()
        await process.wait()


async def run(moments: int, workers: int, chance: random.Random, redis: RedisNode) -> list[End]:
    """Starts a service with `workers` workers `moments` times, and ends each at a random moment.

    In half of the runs the moment lies before the service is ready.
    """
    settings = {
        "BUNDLE_PATH": str(EXAMPLE),
        "DRAIN_SECONDS": str(DRAIN_SECONDS),
        "REDIS_URL": f"redis://127.0.0.1:{redis.port}",
        "SESSION_SECRET": "only-for-this-proof-not-a-secret",
        "WORKERS": str(workers),
    }
    seconds = await start_seconds(settings | {"PORT": str(free_port())})
    ends = []
    with ProgressBar(f"ending {_named(workers)}", moments, "SIGTERM") as bar:
        for number in range(moments):
            in_start = number % 2 == 0
            moment = chance.uniform(0, seconds if in_start else MAX_SECONDS_READY)
            port = {"PORT": str(free_port())}
            ends.append(await end_at(moment, settings | port, in_start=in_start))
            bar.advance()
    return ends


def _named(workers: int) -> str:
    return f"{workers} worker{'s' if workers > 1 else ''}"


def prove(
    *,
    moments: Annotated[int, Parameter(help="SIGTERMs for each number of workers.")] = 100,
    seed: Annotated[int, Parameter(help="Decides when the signals come.")] = 0,
) -> Iterator[Figure]:
    """Send SIGTERM at random moments under load, to one worker and to two."""
    chance = random.Random(seed)  # noqa: S311 - draws times, no secrets
    with TemporaryDirectory() as name:
        redis = RedisNode(Path(name) / "redis", free_port())
        try:
            for workers in (1, 2):
                yield from _figures(workers, asyncio.run(run(moments, workers, chance, redis)))
        finally:
            redis.kill()
            redis.client.close()


def _figures(workers: int, ends: Sequence[End]) -> Iterator[Figure]:
    name = _named(workers)
    yield Figure(f"{name}: SIGTERMs", "runs", len(ends))
    others = sum(each.exit_code != 0 for each in ends)
    yield Figure(f"{name}: other exit code than 0", "runs", others, at_most=0)
    longest = max(each.seconds for each in ends)
    yield Figure(f"{name}: longest end", "s", longest, at_most=DRAIN_SECONDS + END_SECONDS)
    answered = sum(each.num_answered for each in ends)
    yield Figure(f"{name}: answered", "requests", answered, at_least=1)
    failed = sum(each.num_failed for each in ends)
    yield Figure(f"{name}: accepted and failed", "requests", failed, at_most=0)
