"""The source for a service with Redis: 64 streams, which collectors read as a consumer group.

Each collector is a consumer with its own name. Entries that a collector has taken belong to it for
`claim_seconds`. After that, another collector may take them over, since the first has probably
died. If the first is only slow, both write the entries, and readers of the log count them once.

One script acknowledges and deletes an entry. Otherwise a kill could leave an acknowledged entry in
the stream, and no collector would read it again.
"""

import asyncio
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from secrets import token_hex
from typing import Any, NamedTuple

from redis.exceptions import RedisError, ResponseError

from distilled_recommender.collector.source import GROUP, Batch, SourceError, read_entry
from export.contract.log.events import STREAM_FIELD, STREAMS, Entry, Record, sequence_of
from service.stores.redis_client import RedisClient
from service.stores.redis_scripts import Script

_IDS_A_COMMAND = 1_000
_START = "0-0"

# KEYS: a stream; ARGV: the consumer group, ids of entries.
_REMOVE = Script("""
local ids = {unpack(ARGV, 2)}
redis.call('XACK', KEYS[1], ARGV[1], unpack(ids))
redis.call('XDEL', KEYS[1], unpack(ids))
""")

_Raw = tuple[str, dict[str, str]]
"""An entry of a stream: its id and its fields."""


class _Receipt(NamedTuple):
    """The stream of a batch and the ids of its entries, which `remove` deletes there."""

    stream: str
    ids: Sequence[str]


class RedisSource:
    """Source of entries in the streams of a single Redis, or of a Redis Cluster."""

    def __init__(self, client: RedisClient, claim_seconds: float) -> None:
        """Creates a source that reads with `client`, and closes `client` in `aclose`.

        Entries that another collector has had for `claim_seconds` are taken over.
        """
        self._client = client
        self._claim_ms = round(claim_seconds * 1000)
        self._claims_at = 0.0  # the first call takes over what dead collectors have left
        self._consumer = f"{socket.gethostname()}-{os.getpid()}-{token_hex(4)}"
        self._has_group: set[str] = set()

    async def take(self, max_entries: int) -> Sequence[Batch]:
        """Takes about `max_entries` new entries, and entries of collectors that probably died.

        Returns:
            Batches, each with entries of one stream.

        Raises:
            SourceError: Redis cannot be reached.
        """
        limit = max(1, max_entries // len(STREAMS))
        with _source_errors():
            found = await asyncio.gather(*(self._read(each, limit) for each in STREAMS))
            if time.monotonic() >= self._claims_at:
                self._claims_at = time.monotonic() + self._claim_ms / 1000
                found += await asyncio.gather(*(self._claim(each) for each in STREAMS))
        return [batch for batch in found if batch is not None]

    async def remove(self, batches: Sequence[Batch]) -> None:
        """Deletes the entries of `batches` and acknowledges them.

        Raises:
            SourceError: Redis cannot be reached.
        """
        with _source_errors():
            for batch in batches:
                assert isinstance(batch.receipt, _Receipt)  # noqa: S101 - of this source
                await self._remove(*batch.receipt)

    async def aclose(self) -> None:
        """Closes the connections. Other collectors later take over the entries not removed."""
        await self._client.aclose()

    async def _read(self, stream: str, limit: int) -> Batch | None:
        arguments = ("GROUP", GROUP, self._consumer, "COUNT", limit, "STREAMS", stream, ">")
        if stream not in self._has_group:
            await self._make_group(stream)
        try:
            reply = await self._client.execute_command("XREADGROUP", *arguments)
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            self._has_group.discard(stream)  # Redis has lost its data, or the stream is new
            return None
        return self._batch(stream, _entries_of(reply))

    async def _claim(self, stream: str) -> Batch | None:
        """Takes over all entries of a stream that another consumer has had for `claim_seconds`.

        These entries are few: a collector at its limit of waiting records writes them before it
        takes more.
        """
        found: list[_Raw] = []
        cursor = _START
        while True:
            reply = await self._client.execute_command(
                *("XAUTOCLAIM", stream, GROUP, self._consumer, self._claim_ms, cursor),
                *("COUNT", _IDS_A_COMMAND),
            )
            cursor = reply[0]
            found += _pairs(reply[1])
            if cursor == _START:
                return self._batch(stream, found)

    def _batch(self, stream: str, entries: Sequence[_Raw]) -> Batch | None:
        records: list[Record] = []
        ids: list[str] = []
        unreadable: list[str] = []
        for entry_id, fields in entries:
            read, problem = read_entry(Entry(sequence_of(entry_id), fields.get(STREAM_FIELD, "")))
            if problem:
                unreadable.append(f"{stream}: {problem}")
            else:
                records += read
                ids.append(entry_id)
        return Batch(records, _Receipt(stream, ids), unreadable) if entries else None

    async def _make_group(self, stream: str) -> None:
        try:
            await self._client.execute_command(
                "XGROUP", "CREATE", stream, GROUP, _START, "MKSTREAM"
            )
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
        self._has_group.add(stream)

    async def _remove(self, stream: str, ids: Sequence[str]) -> None:
        for begin in range(0, len(ids), _IDS_A_COMMAND):
            some = ids[begin : begin + _IDS_A_COMMAND]
            await _REMOVE.run(self._client, 1, stream, GROUP, *some)


@contextmanager
def _source_errors() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise SourceError(f"Redis: {type(error).__name__}: {error}") from error


def _entries_of(reply: Any) -> list[_Raw]:
    """Returns the entries in a reply of XREADGROUP about one stream; none if the reply is empty."""
    if not reply:
        return []
    (stream,) = reply.items() if isinstance(reply, dict) else reply
    return _pairs(stream[1][0] if isinstance(reply, dict) else stream[1])


def _pairs(entries: Any) -> list[_Raw]:
    """Returns the entries of a reply as pairs of id and fields; leaves out deleted entries.

    The reply has None in place of a deleted entry, its id or its fields.
    """
    return [
        (entry_id, _fields_of(fields))
        for entry_id, fields in filter(None, entries)
        if entry_id is not None and fields is not None
    ]


def _fields_of(fields: Any) -> dict[str, str]:
    return fields if isinstance(fields, dict) else dict(zip(*[iter(fields)] * 2, strict=True))
