"""Numbers of events in Redis, shared by all workers and replicas.

The counts of a key are a sorted set, `popular:SECONDS:NUMBER:TENANT:TYPE`, of item ids by number of
events. Every command has one key, so that the sets may lie on any node of a cluster.
"""

from collections.abc import Mapping

from redis.exceptions import RedisError

from service.stores.counts.protocol import CountKey, CountsUnavailableError
from service.stores.redis_client import RedisCommands
from service.stores.redis_scripts import Script

_ITEMS_A_COMMAND = 500

# KEYS: a sorted set. ARGV: the maximum number of items, the number of items to keep if there are
# more, the Unix time in seconds at which the set expires; then each item id, after its number.
_ADD = Script("""
for place = 4, #ARGV, 2 do redis.call('ZINCRBY', KEYS[1], ARGV[place], ARGV[place + 1]) end
if redis.call('ZCARD', KEYS[1]) > tonumber(ARGV[1]) then
  redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - ARGV[2])
end
redis.call('EXPIREAT', KEYS[1], ARGV[3])
""")


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
        limits = (self._max_items, self._max_items // 2, key.period.expires_at)
        pairs = list(counts.items())
        try:
            for start in range(0, len(pairs), _ITEMS_A_COMMAND):
                part: list[str | int] = []
                for item_id, number in pairs[start : start + _ITEMS_A_COMMAND]:
                    part += (number, item_id)
                await _ADD.run(self._redis, 1, _name_of(key), *limits, *part)
        except (RedisError, OSError) as error:
            raise CountsUnavailableError(_described(error)) from error

    async def read(self, key: CountKey) -> Mapping[str, int]:
        """Implements `CountStore.read`."""
        try:
            reply = await self._redis.execute_command("ZRANGE", _name_of(key), 0, -1, "WITHSCORES")
        except (RedisError, OSError) as error:
            raise CountsUnavailableError(_described(error)) from error
        return dict(zip(reply[::2], map(int, reply[1::2]), strict=True))

    async def close(self) -> None:
        """Implements `CountStore.close`."""
        await self._redis.aclose()


def _name_of(key: CountKey) -> str:
    return f"popular:{key.period.seconds}:{key.period.number}:{key.tenant}:{key.event_type}"


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
