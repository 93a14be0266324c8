"""Proves that clicks that other programs publish to NATS are in the event log exactly.

MovieLens users replay their ratings as clicks, published by several clients to a stream of
JetStream: some twice, some after their successor, and some sessions are erased at their end.
Meanwhile the collector and the NATS server are killed with SIGKILL. Then the log is compared with
the input.

python -m proofs nats [--clicks N] [--kills N]
"""

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import RetentionPolicy

from proofs.fixtures.data.visits import Progress, Visit, compared, sendings, visits_of
from proofs.fixtures.processes.nats_server import NatsServer
from proofs.fixtures.processes.service import SESSION_SECRET
from proofs.fixtures.processes.waiting import wait_until
from proofs.record import Figure
from training.cli import say
from training.events.compaction import compact
from training.events.log_folder import LogFolder

_STREAM, _SUBJECT = "events", "shop.events"
_PATIENCE_SECONDS = 600
_PUBLISH_SECONDS = 2.0
_RETRY_SECONDS = 0.05


def prove(*, clicks: int = 100_000, kills: int = 5, clients: int = 20) -> Iterator[Figure]:
    """Counts clicks that are lost, doubled or out of order.

    Args:
        clicks: number of clicks.
        kills: how often the collector is killed, and how often the server.
        clients: number of clients that publish at the same time.
    """
    with TemporaryDirectory() as folder:
        stack = Stack(Path(folder))
        try:
            visits = visits_of(clicks, random.Random("nats"))  # noqa: S311 - no secret
            began = time.monotonic()
            asyncio.run(replay(visits, stack, kills, clients))
            yield Figure("clicks", "clicks a second", clicks / (time.monotonic() - began))
            stack.collect_the_rest()
            yield Figure("messages left", "messages", stack.num_messages(), at_most=0)
            yield from compared("nats", visits, stack.log)
        finally:
            stack.end()


class Stack:
    """A NATS server with a stream, and a collector; each can be killed."""

    def __init__(self, folder: Path) -> None:
        self.log = LogFolder(str(folder / "log"))
        self.server = NatsServer(folder)
        asyncio.run(_make_stream(self.server.url))
        self._command = [sys.executable, "-m", "distilled_recommender", "collect", self.log.address]
        self._command += ["--nats-url", self.server.url, "--claim-seconds", "2"]
        self.start_collector()

    def start_collector(self) -> None:
        """Starts a collector that writes often."""
        options = ["--flush-seconds", "0.5", "--compact-minutes", "0.2"]
        self.collector = subprocess.Popen(
            [*self._command, *options],
            env=os.environ | {"SESSION_SECRET": SESSION_SECRET},
            stdout=subprocess.DEVNULL,
        )

    def kill(self, name: str) -> None:
        """Kills the collector or the server with SIGKILL, and starts it again."""
        if name == "collector":
            self.collector.kill()
            self.collector.wait()
            self.start_collector()
        else:
            self.server.kill()
            self.server.start()

    def num_messages(self) -> int:
        """Returns the number of messages that were not acknowledged."""
        return asyncio.run(_num_messages(self.server.url))

    def collect_the_rest(self) -> None:
        """Waits until the stream is empty, stops the collector, and compacts the log."""
        wait_until(lambda: self.num_messages() == 0, _PATIENCE_SECONDS)
        self.collector.terminate()
        self.collector.wait(_PATIENCE_SECONDS)
        compact(self.log)

    def end(self) -> None:
        """Kills what still runs."""
        self.collector.kill()
        self.collector.wait()
        self.server.kill()


async def replay(visits: Sequence[Visit], stack: Stack, kills: int, clients: int) -> None:
    """Publishes all clicks from several clients, and kills processes meanwhile."""
    progress = Progress()
    publishing = [
        asyncio.create_task(_publish_visits(visits[n::clients], stack.server.url, n, progress))
        for n in range(clients)
    ]
    chance = random.Random(len(visits))  # noqa: S311 - no secret
    total = sum(len(visit.clicks) for visit in visits)
    names = ["collector", "server"] * kills
    for moment, name in sorted((chance.uniform(0.05, 0.95) * total, name) for name in names):
        while not progress.reached(moment):
            await asyncio.sleep(_RETRY_SECONDS)
        await asyncio.to_thread(stack.kill, name)
        say(f"killed {name} after {progress.acknowledged:,} of {total:,} clicks")
    for client in await asyncio.gather(*publishing):
        while not client.is_connected:  # closing is cancelled while a client connects again
            await asyncio.sleep(_RETRY_SECONDS)
        await client.close()


async def _publish_visits(
    visits: Sequence[Visit], url: str, seed: int, progress: Progress
) -> Client:
    """Publishes the clicks of visits, each until it is acknowledged, and erases some visits."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    client = await nats.connect(
        url, max_reconnect_attempts=-1, reconnect_time_wait=0, error_cb=_ignore
    )
    stream = client.jetstream(timeout=_PUBLISH_SECONDS)
    for visit in visits:
        for click, times in sendings(visit.clicks, chance):
            fields = {"event_id": click.event_id, "item_id": click.item_id, "event_type": "click"}
            event = {"session_id": visit.session_id, "timestamp": click.timestamp, **fields}
            for _ in range(times):
                await _until_stored(stream, event)
            progress.count()
        if visit.is_erased:
            await _until_stored(stream, {"kind": "tombstone", "session_id": visit.session_id})
    return client


async def _until_stored(stream: JetStreamContext, message: object) -> None:
    while True:
        try:
            await stream.publish(_SUBJECT, json.dumps(message).encode())
        except (NatsError, OSError, TimeoutError):
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            return


async def _make_stream(url: str) -> None:
    client = await nats.connect(url)
    await client.jetstream().add_stream(
        name=_STREAM, subjects=[_SUBJECT], retention=RetentionPolicy.WORK_QUEUE
    )
    await client.close()


async def _num_messages(url: str) -> int:
    client = await nats.connect(url)
    info = await client.jetstream().stream_info(_STREAM)
    await client.close()
    return info.state.messages


async def _ignore(_: Exception) -> None:
    """Leaves the loss of the server to the next attempt to publish."""
