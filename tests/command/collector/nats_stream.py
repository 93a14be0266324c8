"""A stream of a real NATS server, as other programs fill it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import nats
from nats.js import JetStreamContext
from nats.js.api import RetentionPolicy

from distilled_recommender.collector.nats_source import NatsSource, NatsStream
from export.contract.log.events import Event, ImpressionRecord, Record, Tombstone
from proofs.fixtures.processes.nats_server import NatsServer

T = TypeVar("T")

STREAM = "events"
KINDS = {Event: "event", ImpressionRecord: "impression", Tombstone: "tombstone"}


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
