"""The source for events of other programs: a stream of NATS JetStream.

All collectors share one durable consumer. For `claim_seconds`, only one collector has a message
that it has taken. Then the server delivers the message to any of them again, since the first has
probably died. If the first is only slow, both write the record, and readers of the log count it
once.

A message is acknowledged when its record is on the disk. Whether the stream keeps it after that is
decided by the stream's retention.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import NoServersError
from nats.js.api import AckPolicy, ConsumerConfig

from distilled_recommender.collector.nats_messages import Place, record_of
from distilled_recommender.collector.source import GROUP, Batch, SourceError
from export.contract.log.events import MAX_TEXT_BYTES, EventLogError, Record
from export.contract.records import shown

_MAX_MESSAGES = 250  # of one request; they are in memory together
_TIMEOUT_SECONDS = 30
_CONNECT_SECONDS = 10
_PING_SECONDS = 10
_MIN_CLAIM_SECONDS = 1.0  # a shorter time would deliver messages again while they are written
_ACK_SUBJECTS = "$JS.ACK."
_NO_LIMIT = -1


class NatsStream(NamedTuple):
    """A stream of NATS, and how to read it.

    Attributes:
        url: addresses of the servers, separated by commas; may hold user and password.
        name: name of the stream.
        subject: subjects of the messages to collect; None: all messages of the stream.
        secret: the service's SESSION_SECRET, for messages with ids of sessions or users.
    """

    url: str
    name: str
    subject: str | None = None
    secret: str | None = None


class NatsSource:
    """Takes messages from a stream of NATS JetStream, and acknowledges them."""

    def __init__(self, stream: NatsStream, claim_seconds: float) -> None:
        """Creates a source of the given stream; the first call connects.

        `claim_seconds` is the time after which messages of another collector are delivered again.
        """
        self._stream = stream
        self._claim_seconds = max(claim_seconds, _MIN_CLAIM_SECONDS)
        self._client: Client | None = None
        self._inbox: Subscription | None = None
        self._error: Exception | None = None  # the last one of a connection

    async def take(self, max_entries: int) -> Sequence[Batch]:
        """Takes at most `max_entries` messages, new ones and those of collectors that died.

        Returns:
            One batch, or none if the stream has no messages at present.

        Raises:
            SourceError: NATS cannot be reached, or has no such stream.
        """
        async with self._source_errors():
            client, inbox = await self._connected()
            found = await self._pull(client, inbox, min(max_entries, _MAX_MESSAGES))
        return [self._batch(found)] if found else []

    async def remove(self, batches: Sequence[Batch]) -> None:
        """Acknowledges the messages of `batches`.

        Raises:
            SourceError: NATS cannot be reached; the messages are delivered again.
        """
        async with self._source_errors():
            client, _ = await self._connected()
            for batch in batches:
                assert isinstance(batch.receipt, list)  # noqa: S101 - of this source
                for subject in batch.receipt:
                    await client.publish(subject, b"+ACK")
            await client.flush(timeout=_TIMEOUT_SECONDS)

    async def aclose(self) -> None:
        """Closes the connection. Messages that were not acknowledged are delivered again."""
        client, self._client, self._inbox, self._error = self._client, None, None, None
        if client is not None:
            with suppress(NatsError, OSError, TimeoutError):
                await client.close()

    async def _connected(self) -> tuple[Client, Subscription]:
        """Returns the connection and the subscription to the messages; opens them if need be."""
        if self._client is not None and self._inbox is not None and self._client.is_connected:
            return self._client, self._inbox
        await self.aclose()
        self._client = await nats.connect(
            self._stream.url.split(","),
            allow_reconnect=False,  # the next call does, after a pause
            max_reconnect_attempts=1,  # of each server, also for the first connection
            reconnect_time_wait=0,
            connect_timeout=_CONNECT_SECONDS,
            ping_interval=_PING_SECONDS,
            error_cb=self._remember,
        )
        # A consumer that exists already is updated.
        await self._client.jetstream().add_consumer(
            self._stream.name,
            ConsumerConfig(
                durable_name=GROUP,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=self._claim_seconds,
                max_ack_pending=_NO_LIMIT,
                filter_subject=self._stream.subject,
            ),
        )
        self._inbox = await self._client.subscribe(
            self._client.new_inbox(),
            pending_bytes_limit=2 * _MAX_MESSAGES * MAX_TEXT_BYTES,
        )
        return self._client, self._inbox

    async def _pull(self, client: Client, inbox: Subscription, count: int) -> list[Msg]:
        """Asks for `count` messages, and returns those that the stream has at present.

        The server sends them to `inbox`, with a message of its own at the end if they are fewer.
        """
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream.name}.{GROUP}"
        request = json.dumps({"batch": count, "no_wait": True}).encode()
        await client.publish(subject, request, reply=inbox.subject)
        found: list[Msg] = []
        while len(found) < count:
            message = await inbox.next_msg(timeout=_TIMEOUT_SECONDS)
            # Not by the header Status, which a message of the stream may have too.
            if not message.reply.startswith(_ACK_SUBJECTS):
                _check_end(message)
                break
            found.append(message)
        return found

    def _batch(self, messages: Sequence[Msg]) -> Batch:
        records: list[Record] = []
        receipt: list[str] = []
        unreadable: list[str] = []
        for message in messages:
            place = _place_of(message)
            try:
                records.append(record_of(message.data, place, self._stream.secret))
                receipt.append(message.reply)
            except EventLogError as error:
                unreadable.append(f"{place.stream}: message {place.number}: {error}")
        return Batch(records, receipt, unreadable)

    @asynccontextmanager
    async def _source_errors(self) -> AsyncIterator[None]:
        try:
            yield
        except (NatsError, OSError, TimeoutError) as error:
            # The library tells only that no server was left, or that a request that the server
            # refused has timed out; its last error has the reason.
            is_vague = isinstance(error, NoServersError | TimeoutError)
            cause = self._error if is_vague and self._error is not None else error
            await self.aclose()
            message = f"NATS, stream {self._stream.name}: {type(cause).__name__}: {cause}"
            raise SourceError(message) from error

    async def _remember(self, error: Exception) -> None:
        self._error = error


def _check_end(message: Msg) -> None:
    """Checks the server's own message that ends the answer to a pull request.

    Its status must be 404 or 408: the stream has no further messages at present.

    Raises:
        NatsError: the status is another one, for example since the consumer was deleted.
    """
    headers = message.headers or {}
    if (status := headers.get("Status", "")) not in ("404", "408"):
        reason, _, _ = headers.get("Description", "").partition("\n")
        raise NatsError(f"status {shown(status)} {shown(reason)}".rstrip())


def _place_of(message: Msg) -> Place:
    found = message.metadata
    return Place(found.stream, found.sequence.stream, int(found.timestamp.timestamp() * 1000))
