"""Added items in Redis: a hash of items, a counter, and which count last touched which item.

All keys share a hash tag, so a cluster keeps them in one place.
"""

from collections.abc import Awaitable, Mapping, Sequence
from typing import cast

from redis.asyncio import Redis

from service.added.store import AddedItem, Changes, from_json, to_json
from service.errors import ConflictError, ItemStoreUnavailableError
from service.redis_client import redis_errors_as

_ITEMS, _VERSION, _TOUCHED = "{added-items}", "{added-items}:version", "{added-items}:touched"

_PUT = """
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known == ARGV[2] then return 1 end
if not known and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[3], redis.call('INCR', KEYS[2]), ARGV[1])
return 1
"""

# Removed items stay in the list of touches, which is cut to twice the items that may be kept:
# whoever asks for a version from before the cut gets everything.
_REMOVE = """
if redis.call('HDEL', KEYS[1], ARGV[1]) == 1 then
  redis.call('ZADD', KEYS[3], redis.call('INCR', KEYS[2]), ARGV[1])
  redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -2 * tonumber(ARGV[2]) - 1)
end
"""

_CHANGES = """
local version = tonumber(redis.call('GET', KEYS[2]) or '0')
local since = tonumber(ARGV[1])
if since == version then return {version, 0} end
local oldest = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
local is_known = since > 0 and since < version and oldest[2] and tonumber(oldest[2]) <= since
if not is_known then return {version, 1, redis.call('HVALS', KEYS[1])} end
local touched = redis.call('ZRANGEBYSCORE', KEYS[3], '(' .. since, '+inf')
local items = {}
for place = 1, #touched, 1000 do
  local part = {unpack(touched, place, math.min(place + 999, #touched))}
  for _, item in ipairs(redis.call('HMGET', KEYS[1], unpack(part))) do
    table.insert(items, item)
  end
end
return {version, 2, touched, items}
"""

_UNCHANGED, _COMPLETE = 0, 1


class RedisAddedItemStore:
    """Added items in Redis, shared by all workers."""

    def __init__(self, client: Redis, max_items: int) -> None:
        self._redis = client
        self._max_items = max_items
        self._put = client.register_script(_PUT)
        self._remove = client.register_script(_REMOVE)
        self._changes = client.register_script(_CHANGES)

    async def put(self, added: AddedItem) -> None:
        """See AddedItemStore."""
        arguments: list[str | int] = [added.item.item_id, to_json(added).decode(), self._max_items]
        if not await self._run(self._put(_KEYS, arguments)):
            raise ConflictError(f"{self._max_items} items were added, which is the limit")

    async def remove(self, item_id: str) -> None:
        """See AddedItemStore."""
        await self._run(self._remove(_KEYS, [item_id, self._max_items]))

    async def changes(self, since: str) -> Changes:
        """See AddedItemStore."""
        reply = await self._run(self._changes(_KEYS, [since or "-1"]))
        version, kind, *found = cast("Sequence[object]", reply)
        items: Mapping[str, AddedItem | None] = {}
        if kind == _COMPLETE:
            everything = map(from_json, cast("Sequence[str]", found[0]))
            items = {each.item.item_id: each for each in everything}
        elif kind != _UNCHANGED:
            item_ids, texts = cast("tuple[Sequence[str], Sequence[str | None]]", found)
            items = {
                item_id: from_json(text) if text else None
                for item_id, text in zip(item_ids, texts, strict=True)
            }
        return Changes(str(version), items, is_complete=kind == _COMPLETE)

    async def close(self) -> None:
        """See AddedItemStore."""
        await self._redis.aclose()

    async def _run(self, command: Awaitable[object]) -> object:
        with redis_errors_as(ItemStoreUnavailableError):
            return await command


_KEYS = [_ITEMS, _VERSION, _TOUCHED]
