"""Session histories in Redis, shared by all workers; each operation takes one round trip.

A session is a Redis list. An entry of the list is `event_id`, a line feed and `item_id`. An event
id never contains a line feed, so the first one ends it, and an item id may contain any character.
"""

from collections.abc import Sequence
from functools import partial
from hashlib import sha1

from redis.exceptions import NoScriptError

from service.errors import HistoryRefusalError, HistoryUnavailableError
from service.stores.history.protocol import Event, Retention
from service.stores.redis_client import RedisCommands, redis_errors_as

_SEPARATOR = "\n"

# A script, because Redis runs it atomically: nothing else can be written between its commands.
_APPEND = """
local session, event_id, item_id = KEYS[1], ARGV[1], ARGV[2]
if event_id ~= '' then
  local prefix = event_id .. '\\n'
  for position, entry in ipairs(redis.call('LRANGE', session, 0, -1)) do
    if string.sub(entry, 1, #prefix) == prefix then
      return redis.call('LRANGE', session, 0, position - 1)
    end
  end
end
redis.call('RPUSH', session, event_id .. '\\n' .. item_id)
redis.call('LTRIM', session, -tonumber(ARGV[3]), -1)
redis.call('PEXPIRE', session, ARGV[4])
return redis.call('LRANGE', session, 0, -1)
"""


_APPEND_SHA = sha1(_APPEND.encode()).hexdigest()  # noqa: S324 - how Redis names scripts
_unavailable = partial(
    redis_errors_as, HistoryUnavailableError, "the history store", HistoryRefusalError
)
_PROBE = ("SET", "history-write-probe", "1", "PX", 1000)


class RedisHistoryStore:
    """Stores each session as a Redis list."""

    def __init__(self, redis: RedisCommands, retention: Retention) -> None:
        self._redis = redis
        self._limits = (retention.max_length, round(retention.ttl_seconds * 1000))

    async def append(self, session_id: str, event: Event) -> Sequence[str]:
        """See HistoryStore."""
        call = (1, _key(session_id), event.event_id or "", event.item_id, *self._limits)
        with _unavailable():
            try:
                entries = await self._redis.execute_command("EVALSHA", _APPEND_SHA, *call)
            except NoScriptError:
                entries = await self._redis.execute_command("EVAL", _APPEND, *call)
        return _item_ids(entries)

    async def read(self, session_id: str) -> Sequence[str]:
        """See HistoryStore."""
        with _unavailable():
            entries = await self._redis.execute_command("LRANGE", _key(session_id), 0, -1)
        return _item_ids(entries)

    async def forget(self, session_id: str) -> None:
        """See HistoryStore."""
        with _unavailable():
            await self._redis.execute_command("UNLINK", _key(session_id))

    async def ping(self) -> None:
        """See HistoryStore."""
        with _unavailable():
            await self._redis.execute_command("PING")

    async def check_write(self) -> None:
        """See HistoryStore. Writes a key that expires after a second."""
        with _unavailable():
            await self._redis.execute_command(*_PROBE)

    async def close(self) -> None:
        """See HistoryStore."""
        await self._redis.aclose()


def _key(session_id: str) -> str:
    return f"session:{session_id}"


def _item_ids(entries: Sequence[str]) -> list[str]:
    return [entry[entry.index(_SEPARATOR) + 1 :] for entry in entries]
