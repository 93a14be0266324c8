"""Numbers of events in Redis, shared by all workers and replicas.

The counts of a key are a sorted set, `counts:SECONDS:NUMBER:TENANT:TYPE`. The score of the member
`i` + item id has that of the item as its whole part and, times 2^-26, that at entry as its
fraction: a double has both exactly as long as they are below 67 million. The member `n` has the
negative of the number of all events, and `f` that of the floor, so these two are the first. Redis
evicts and expires all of it together. Every command has one key, so that the sets may lie on any
node of a cluster.
"""

import asyncio
from collections.abc import Mapping, Sequence

from redis.exceptions import RedisError

from service.stores.counts.protocol import CountKey, Counts, CountsUnavailableError
from service.stores.redis_client import RedisCommands
from service.stores.redis_scripts import Script

_ITEMS_A_COMMAND = 200  # takes Redis about a millisecond
_PARTS_A_TURN = 4_000  # of the event loop: members and scores of a reply

# KEYS: a sorted set. ARGV: the maximum number of items, the Unix time in seconds at which the set
# expires; then each item id, after its number. A command cuts at most 1,000 items, which is more
# than it adds: a maximum that was lowered is reached in several commands, none of which is slow.
_ADD = Script("""
local set = KEYS[1]
local floor = -redis.call('ZINCRBY', set, 0, 'f')
local entry, total = floor + floor / 67108864, 0
for place = 3, #ARGV, 2 do
  local number, member = ARGV[place], 'i' .. ARGV[place + 1]
  total = total + number
  if floor == 0 then
    redis.call('ZINCRBY', set, number, member)
  elseif not redis.call('ZADD', set, 'XX', 'INCR', number, member) then
    redis.call('ZADD', set, entry + number, member)
  end
end
redis.call('ZINCRBY', set, -total, 'n')
local excess = math.min(redis.call('ZCARD', set) - 2 - ARGV[1], 1000)
if excess > 0 then
  local highest = redis.call('ZRANGE', set, excess + 1, excess + 1, 'WITHSCORES')[2]
  redis.call('ZREMRANGEBYRANK', set, 2, excess + 1)
  redis.call('ZADD', set, -math.floor(highest), 'f')
end
redis.call('EXPIREAT', set, ARGV[2])
""")
_FRACTION = 67_108_864  # 2^26


class RedisCountStore:
    """Keeps the counts of each key in a sorted set."""

    def __init__(self, redis: RedisCommands, max_items: int) -> None:
        """Makes a store that connects at its first command.

        Args:
            redis: client of the Redis that has the sets.
            max_items: maximum number of items for each key.
        """
        self._redis = redis
        self._max_items = max_items

    async def add(self, key: CountKey, counts: Mapping[str, int]) -> None:
        """Implements `CountStore.add`."""
        limits = (self._max_items, key.period.expires_at)
        pairs = list(counts.items())
        try:
            for start in range(0, max(1, len(pairs)), _ITEMS_A_COMMAND):
                part: list[str | int] = []
                for item_id, number in pairs[start : start + _ITEMS_A_COMMAND]:
                    part += (number, item_id)
                await _ADD.run(self._redis, 1, _name_of(key), *limits, *part)
        except (RedisError, OSError) as error:
            raise CountsUnavailableError(_described(error)) from error

    async def read(self, key: CountKey) -> Counts:
        """Implements `CountStore.read`."""
        try:
            reply = await self._redis.execute_command("ZRANGE", _name_of(key), 0, -1, "WITHSCORES")
        except (RedisError, OSError) as error:
            raise CountsUnavailableError(_described(error)) from error
        return await _counted(reply)

    async def close(self) -> None:
        """Implements `CountStore.close`."""
        await self._redis.aclose()


async def _counted(reply: Sequence[str]) -> Counts:
    """Returns what members and scores in turn tell."""
    total, counts = 0, dict[str, int]()
    for place in range(0, len(reply), 2):
        member, score = reply[place], float(reply[place + 1])
        if score > 0:
            at_entry = round(score % 1 * _FRACTION)
            counts[member[1:]] = int(score) - at_entry
        elif member == "n":
            total = -int(score)
        if place % _PARTS_A_TURN == 0:
            await asyncio.sleep(0)
    return Counts(total, counts)


def _name_of(key: CountKey) -> str:
    return f"counts:{key.period.seconds}:{key.period.number}:{key.tenant}:{key.event_type}"


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
