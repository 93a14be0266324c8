"""A store of records of items in Redis, shared by all workers.

Changes are numbered, and the number of the last change is the version of the store. Redis holds the
records, this number, and for each changed item the number of its last change. All keys of a store
contain its name in braces, as `{added-items}`, so that Redis Cluster keeps them in one slot.
"""

import logging
from collections.abc import Awaitable, Mapping, Sequence
from typing import Generic, cast

from service.errors import ItemStoreUnavailableError
from service.stores.items.protocol import AddedItem, Change, Changes, R, store_is_full
from service.stores.redis_client import RedisClient, redis_errors_as

logger = logging.getLogger(__name__)

_KEYS = [
    "{%s}",  # hash: record by item id
    "{%s}:version",  # integer: the number of the last change
    "{%s}:touched",  # sorted set: item ids by the number of their last change
    "{%s}:forgotten",  # integer: the sorted set is complete only after this number
]
_CHANGED = -1

# The first version is the time in microseconds, so that a Redis that was emptied never repeats a
# version; all earlier versions count as forgotten.
_TOUCH = """
local function touch(item_id)
  if redis.call('EXISTS', KEYS[2]) == 0 then
    local now = redis.call('TIME')
    local start = string.format('%.0f', now[1] * 1000000 + now[2])
    redis.call('SET', KEYS[2], start)
    redis.call('SET', KEYS[4], start)
  end
  redis.call('ZADD', KEYS[3], redis.call('INCR', KEYS[2]), item_id)
end
"""

# The expected record is the fourth argument of both scripts; without it they change any record.
_CHECK = """
if ARGV[4] and (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[4] then return -1 end
"""

_PUT = (
    _TOUCH
    + _CHECK
    + """
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known == ARGV[2] then return 1 end
if not known and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
touch(ARGV[1])
return 1
"""
)

# Removed items stay in the sorted set. It may have twice as many ids as items may be stored; then
# the oldest changes are forgotten.
_REMOVE = (
    _TOUCH
    + _CHECK
    + """
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return end
touch(ARGV[1])
local excess = redis.call('ZCARD', KEYS[3]) - 2 * tonumber(ARGV[2])
if excess > 0 then
  local popped = redis.call('ZPOPMIN', KEYS[3], excess)
  redis.call('SET', KEYS[4], popped[#popped])
end
"""
)

_CHANGES = """
local version = tonumber(redis.call('GET', KEYS[2]) or '0')
local forgotten = tonumber(redis.call('GET', KEYS[4]) or '0')
local since = tonumber(ARGV[1])
if since == version then return {version, 0} end
if since <= 0 or since > version or since < forgotten then
  return {version, 1, redis.call('HVALS', KEYS[1])}
end
local touched = redis.call('ZRANGEBYSCORE', KEYS[3], '(' .. ARGV[1], '+inf')
local items = {}
for _, item_id in ipairs(touched) do
  table.insert(items, redis.call('HGET', KEYS[1], item_id))
end
return {version, 2, touched, items}
"""

_UNCHANGED, _COMPLETE = 0, 1


class RedisItemStore(Generic[R]):
    """Stores records of items in a Redis hash, which all workers share."""

    def __init__(self, client: RedisClient, max_items: int, kind: type[R]) -> None:
        """Makes a store that connects at its first command.

        Args:
            client: client of the Redis that has the records.
            max_items: maximum number of records.
            kind: class of the records; its `STATE` is a part of the keys.
        """
        self._redis = client
        self._max_items = max_items
        self._kind = kind
        self._keys = [each % f"{kind.STATE}-items" for each in _KEYS]
        self._put = client.register_script(_PUT)
        self._remove = client.register_script(_REMOVE)
        self._changes = client.register_script(_CHANGES)

    async def put(self, record: R) -> None:
        """Implements `ItemStore.put`."""
        await self._replace(record.item_id, record)

    async def remove(self, item_id: str) -> None:
        """Implements `ItemStore.remove`."""
        await self._replace(item_id, None)

    async def update(self, item_id: str, change: Change[R]) -> None:
        """Implements `ItemStore.update`."""
        is_done = False
        while not is_done:
            text = cast("str | None", await self._run(self._redis.hget(self._keys[0], item_id)))
            record = change(self._readable(text) if text else None)
            is_done = await self._replace(item_id, record, text or "")

    async def _replace(self, item_id: str, record: R | None, *expected: str) -> bool:
        """Stores `record` as the record of an item; None removes the item's record.

        `expected`: nothing, to replace any record; or one JSON text, the record that must be stored
        now, with "" for no record.

        Returns:
            True if the record was stored or removed; False if nothing was changed, because another
            record than `expected` is stored.

        Raises:
            ConflictError: the store has its maximum number of records, and none has this id.
        """
        if record is None:
            removal: list[str | int] = [
                item_id,
                self._max_items,
                *(("", *expected) if expected else ()),
            ]
            return await self._run(self._remove(self._keys, removal)) != _CHANGED
        arguments: list[str | int] = [item_id, record.to_json().decode(), self._max_items]
        reply = await self._run(self._put(self._keys, [*arguments, *expected]))
        if reply == 0:
            raise store_is_full(self._max_items, self._kind)
        return reply != _CHANGED

    async def changes(self, since: str) -> Changes[R]:
        """Implements `ItemStore.changes`."""
        reply = await self._run(self._changes(self._keys, [since or "-1"]))
        version, kind, *found = cast("Sequence[object]", reply)
        items: Mapping[str, R | None] = {}
        if kind == _COMPLETE:
            everything = map(self._readable, cast("Sequence[str]", found[0]))
            items = {each.item_id: each for each in everything if each}
        elif kind != _UNCHANGED:
            item_ids, texts = cast("tuple[Sequence[str], Sequence[str | None]]", found)
            items = {
                item_id: self._readable(text) if text else None
                for item_id, text in zip(item_ids, texts, strict=True)
            }
        return Changes(str(version), items, is_complete=kind == _COMPLETE)

    async def close(self) -> None:
        """Implements `ItemStore.close`."""
        await self._redis.aclose()

    async def _run(self, command: Awaitable[object]) -> object:
        with redis_errors_as(ItemStoreUnavailableError, f"the store of {self._kind.STATE} items"):
            return await command

    def _readable(self, text: str) -> R | None:
        """Decodes a record; logs a warning and returns None if `text` is not a valid record."""
        try:
            return self._kind.from_json(text)
        except ValueError as error:
            logger.warning("an entry of the %s items is skipped: %s", self._kind.STATE, error)
            return None


class RedisAddedItemStore(RedisItemStore[AddedItem]):
    """Stores added items in Redis."""

    def __init__(self, client: RedisClient, max_items: int) -> None:
        super().__init__(client, max_items, AddedItem)
