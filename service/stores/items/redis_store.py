"""A store of records of items in Redis, shared by all workers.

Changes are numbered, and the number of the last change is the version of the store. Redis holds the
records, this number, and for each changed item the number of its last change. All keys of a store
contain its name in braces, as `{added-items}`, so that Redis Cluster keeps them in one slot.
"""

import logging
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Generic, cast

from service.errors import ConflictError, ItemStoreUnavailableError
from service.stores.items.protocol import AddedItem, Change, Changes, R, store_is_full
from service.stores.redis_client import RedisClient, redis_errors_as

logger = logging.getLogger(__name__)

_KEYS = [
    "{%s}",  # hash: record by item id
    "{%s}:version",  # integer: the number of the last change
    "{%s}:touched",  # sorted set: item ids by the number of their last change
    "{%s}:forgotten",  # integer: the sorted set is complete only after this number
]
# Arguments: the maximum number of records, then an item id, the expected record and the new record
# of each item; "" stands for no record. The reply has the ids of the items with another record than
# the expected one, and the ids of those without room.
#
# The first version is the time in microseconds, so that a Redis that was emptied never repeats a
# version; all earlier versions count as forgotten. Removed items stay in the sorted set. It may
# have twice as many ids as items may be stored; then the oldest changes are forgotten.
_UPDATE = """
if redis.call('EXISTS', KEYS[2]) == 0 then
  local now = redis.call('TIME')
  local start = string.format('%.0f', now[1] * 1000000 + now[2])
  redis.call('SET', KEYS[2], start)
  redis.call('SET', KEYS[4], start)
end
local max_items = tonumber(ARGV[1])
local num_items = redis.call('HLEN', KEYS[1])
local changed, without_room = {}, {}
for place = 2, #ARGV, 3 do
  local item_id, expected, record = ARGV[place], ARGV[place + 1], ARGV[place + 2]
  local known = redis.call('HGET', KEYS[1], item_id) or ''
  if known ~= expected then
    table.insert(changed, item_id)
  elseif known == '' and num_items >= max_items then
    table.insert(without_room, item_id)
  else
    if record == '' then
      redis.call('HDEL', KEYS[1], item_id)
      num_items = num_items - 1
    else
      redis.call('HSET', KEYS[1], item_id, record)
      if known == '' then num_items = num_items + 1 end
    end
    redis.call('ZADD', KEYS[3], redis.call('INCR', KEYS[2]), item_id)
  end
end
local excess = redis.call('ZCARD', KEYS[3]) - 2 * max_items
if excess > 0 then
  local popped = redis.call('ZPOPMIN', KEYS[3], excess)
  redis.call('SET', KEYS[4], popped[#popped])
end
return {changed, without_room}
"""

# Arguments: a version, and the maximum number of changes. The reply has the version of the store,
# a kind, and for CHANGED item ids, records, and the version after these changes.
_CHANGES = """
local version = redis.call('GET', KEYS[2]) or '0'
local forgotten = tonumber(redis.call('GET', KEYS[4]) or '0')
local since = tonumber(ARGV[1])
if ARGV[1] == version then return {version, 0} end
if since <= 0 or since > tonumber(version) or since < forgotten then return {version, 1} end
local found = redis.call(
  'ZRANGEBYSCORE', KEYS[3], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2]
)
local touched, items = {}, {}
for place = 1, #found, 2 do
  table.insert(touched, found[place])
  table.insert(items, redis.call('HGET', KEYS[1], found[place]))
end
return {version, 2, touched, items, found[#found] or version}
"""

_UNCHANGED, _COMPLETE = 0, 1

_AT_ONCE = 200
"""Maximum number of records in one command, so that no command holds up Redis or the event loop."""


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
        self._update = client.register_script(_UPDATE)
        self._changes = client.register_script(_CHANGES)

    async def put(self, record: R) -> None:
        """Implements `ItemStore.put`."""
        await self.update(record.item_id, lambda _: record)

    async def remove(self, item_id: str) -> None:
        """Implements `ItemStore.remove`."""
        await self.update(item_id, lambda _: None)

    async def update(self, item_id: str, change: Change[R]) -> None:
        """Implements `ItemStore.update`."""
        for error in (await self.update_many({item_id: change})).values():
            raise error

    async def update_many(self, changes: Mapping[str, Change[R]]) -> Mapping[str, ConflictError]:
        """Implements `ItemStore.update_many`."""
        item_ids, without_room = list(changes), list[str]()
        for start in range(0, len(item_ids), _AT_ONCE):
            waiting: Sequence[str] = item_ids[start : start + _AT_ONCE]
            while waiting:
                waiting, refused = await self._try_update(changes, waiting)
                without_room += refused
        return dict.fromkeys(without_room, store_is_full(self._max_items, self._kind))

    async def _try_update(
        self, changes: Mapping[str, Change[R]], item_ids: Sequence[str]
    ) -> tuple[Sequence[str], Sequence[str]]:
        """Updates the records of `item_ids`, if no other process changes them at the same time.

        Returns the ids of the items that another process has changed, and of those without room.
        """
        key = self._keys[0]
        texts = cast("Sequence[str | None]", await self._run(self._redis.hmget(key, item_ids)))
        arguments: list[str | int] = [self._max_items]
        for item_id, text in zip(item_ids, texts, strict=True):
            record = changes[item_id](self._readable_or_none(text))
            new = record.to_json().decode() if record else ""
            if new != (text or ""):
                arguments += (item_id, text or "", new)
        if len(arguments) == 1:
            return (), ()
        reply = await self._run(self._update(self._keys, arguments))
        return cast("tuple[Sequence[str], Sequence[str]]", reply)

    async def reach(self) -> None:
        """Implements `ItemStore.reach`."""
        await self._run(self._redis.exists(self._keys[0]))

    async def changes(self, since: str) -> Changes[R]:
        """Implements `ItemStore.changes`.

        Reads `_AT_ONCE` records at a time, and stops at the version that the store had at first.
        """
        version, target, items = since or "-1", 0, dict[str, R | None]()
        while True:
            reply = await self._run(self._changes(self._keys, [version, _AT_ONCE]))
            newest, kind, *found = cast("tuple[str, int, Any, Any, str]", reply)
            if kind == _COMPLETE:
                # Changes during this read have later versions, so that the next call reads them.
                return Changes(newest, await self._read_all(), is_complete=True)
            if kind == _UNCHANGED:
                return Changes(newest, items, is_complete=False)
            item_ids, texts, version = found
            items.update(zip(item_ids, map(self._readable_or_none, texts), strict=True))
            target = target or int(newest)
            if int(version) >= target:
                return Changes(version, items, is_complete=False)

    async def _read_all(self) -> Mapping[str, R]:
        """Reads all records that stay in the store during this call; others may be missing."""
        items, cursor, key = dict[str, R](), 0, self._keys[0]
        while True:
            reply = await self._run(self._redis.hscan(key, cursor, count=_AT_ONCE))
            cursor, found = cast("tuple[int, Mapping[str, str]]", reply)
            records = map(self._readable, found.values())
            items.update((each.item_id, each) for each in records if each)
            if cursor == 0:
                return items

    async def close(self) -> None:
        """Implements `ItemStore.close`."""
        await self._redis.aclose()

    async def _run(self, command: Awaitable[object]) -> object:
        with redis_errors_as(ItemStoreUnavailableError, f"the store of {self._kind.STATE} items"):
            return await command

    def _readable_or_none(self, text: str | None) -> R | None:
        return self._readable(text) if text else None

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
