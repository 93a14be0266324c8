"""A store of added items in Redis, shared by all workers.

Changes are numbered, and the number of the last one is the version of the store. Redis holds the
items, this number, and for each changed item the number of its last change. All keys contain
`{added-items}`, so that Redis Cluster keeps them in one slot.
"""

import logging
from collections.abc import Awaitable, Mapping, Sequence
from typing import cast

from service.errors import ItemStoreUnavailableError
from service.stores.items.protocol import (
    AddedItem,
    Changes,
    from_json,
    store_is_full,
    to_json,
)
from service.stores.redis_client import RedisClient, redis_errors_as

logger = logging.getLogger(__name__)

_KEYS = [
    "{added-items}",  # hash: item by id
    "{added-items}:version",  # integer: the number of the last change
    "{added-items}:touched",  # sorted set: item ids by the number of their last change
    "{added-items}:forgotten",  # integer: the sorted set is complete only after this number
]

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

_PUT = (
    _TOUCH
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


class RedisAddedItemStore:
    """Stores added items in a Redis hash, which all workers share."""

    def __init__(self, client: RedisClient, max_items: int) -> None:
        self._redis = client
        self._max_items = max_items
        self._put = client.register_script(_PUT)
        self._remove = client.register_script(_REMOVE)
        self._changes = client.register_script(_CHANGES)

    async def put(self, added: AddedItem) -> None:
        """See AddedItemStore."""
        arguments: list[str | int] = [added.item.item_id, to_json(added).decode(), self._max_items]
        if not await self._run(self._put(_KEYS, arguments)):
            raise store_is_full(self._max_items)

    async def remove(self, item_id: str) -> None:
        """See AddedItemStore."""
        await self._run(self._remove(_KEYS, [item_id, self._max_items]))

    async def changes(self, since: str) -> Changes:
        """See AddedItemStore."""
        reply = await self._run(self._changes(_KEYS, [since or "-1"]))
        version, kind, *found = cast("Sequence[object]", reply)
        items: Mapping[str, AddedItem | None] = {}
        if kind == _COMPLETE:
            everything = map(_readable, cast("Sequence[str]", found[0]))
            items = {each.item.item_id: each for each in everything if each}
        elif kind != _UNCHANGED:
            item_ids, texts = cast("tuple[Sequence[str], Sequence[str | None]]", found)
            items = {
                item_id: _readable(text) if text else None
                for item_id, text in zip(item_ids, texts, strict=True)
            }
        return Changes(str(version), items, is_complete=kind == _COMPLETE)

    async def close(self) -> None:
        """See AddedItemStore."""
        await self._redis.aclose()

    async def _run(self, command: Awaitable[object]) -> object:
        with redis_errors_as(ItemStoreUnavailableError, "the store of added items"):
            return await command


def _readable(text: str) -> AddedItem | None:
    """Decodes an added item; if `text` is not one, logs that and returns None."""
    try:
        return from_json(text)
    except ValueError as error:
        logger.warning("an entry of the added items is skipped: %s", error)
        return None
