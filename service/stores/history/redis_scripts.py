"""Lua scripts that change session histories in Redis; Redis runs each script atomically."""

from hashlib import sha1
from string import Template
from typing import Any

from redis.exceptions import NoScriptError

from service.stores.history.protocol import Retention
from service.stores.redis_client import RedisCommands

# KEYS: the list of events, the set of event ids, then lists and then sets under former names.
# ARGV: event id (empty if there is none), item id, time in µs. If the session has sets under former
# names, or entries in other slots of a cluster, then also: the number of sets under former names in
# KEYS; the number of entries and the entries; the number of event ids and the ids with their times.
#
# A full Redis refuses a script only at its first command that needs memory. So the script deletes
# nothing before it has added something.
_APPEND = """
local events, event_ids, now, has_moved = KEYS[1], KEYS[2], ARGV[3], false

local function move(entry)
  has_moved = true
  local event_id = string.match(entry, '^[^\\n]*')
  if event_id == '' or redis.call('ZADD', event_ids, 'NX', now, event_id) == 1 then
    redis.call('RPUSH', events, entry)
  end
end

local last_list = #KEYS - (ARGV[4] or 0)
for number = 3, last_list do
  local entries = redis.call('LRANGE', KEYS[number], 0, -1)
  for _, entry in ipairs(entries) do move(entry) end
  if #entries > 0 then redis.call('UNLINK', KEYS[number]) end
end
for number = last_list + 1, #KEYS do
  local ids = redis.call('ZRANGE', KEYS[number], 0, -1, 'WITHSCORES')
  for at = 1, #ids, 2 do redis.call('ZADD', event_ids, 'NX', ids[at + 1], ids[at]) end
  if #ids > 0 then redis.call('UNLINK', KEYS[number]) end
end
local last_entry = 5 + (ARGV[5] or 0)
for number = 6, last_entry do move(ARGV[number]) end
for at = last_entry + 1, #ARGV, 2 do
  redis.call('ZADD', event_ids, 'NX', ARGV[at + 1], ARGV[at])
end
if has_moved then
  redis.call('PEXPIRE', events, $ttl)
  redis.call('PEXPIRE', event_ids, $ttl)
end

local event_id = ARGV[1]
if event_id ~= '' then
  local window_began = string.format('%.0f', now - $window)
  local begun = redis.call('ZSCORE', event_ids, event_id)
  if begun and tonumber(begun) > tonumber(window_began) then
    local entries = redis.call('LRANGE', events, 0, -1)
    local prefix = event_id .. '\\n'
    for length = #entries, 1, -1 do
      if string.sub(entries[length], 1, #prefix) == prefix then
        return redis.call('LRANGE', events, 0, length - 1)
      end
    end
    return entries
  end
  redis.call('ZADD', event_ids, now, event_id)
  redis.call('ZREMRANGEBYSCORE', event_ids, '-inf', window_began)
  redis.call('ZREMRANGEBYRANK', event_ids, 0, -1 - $max_event_ids)
end
redis.call('RPUSH', events, event_id .. '\\n' .. ARGV[2])
redis.call('LTRIM', events, -$max_length, -1)
redis.call('PEXPIRE', events, $ttl)
redis.call('PEXPIRE', event_ids, $ttl)
return redis.call('LRANGE', events, 0, -1)
"""

# KEYS: the list of events, the set of event ids, the time at which the session was erased.
# ARGV: event id, item id, time in µs.
#
# An entry whose time is unknown, because it has no id or its id has expired, counts as older.
_INSERT = """
local events, event_ids, event_id, at = KEYS[1], KEYS[2], ARGV[1], ARGV[3]
local erased = redis.call('GET', KEYS[3])
if erased and tonumber(erased) >= tonumber(at) then return end
local begun = redis.call('ZSCORE', event_ids, event_id)
if begun and tonumber(begun) > tonumber(at) - $window then return end
redis.call('ZADD', event_ids, at, event_id)

local entries = redis.call('LRANGE', events, 0, -1)
local place = #entries
while place > 0 do
  local time = redis.call('ZSCORE', event_ids, string.match(entries[place], '^[^\\n]*'))
  if not time or tonumber(time) <= tonumber(at) then break end
  place = place - 1
end
local entry = event_id .. '\\n' .. ARGV[2]
if place == #entries then
  redis.call('RPUSH', events, entry)
else
  redis.call('LINSERT', events, 'BEFORE', entries[place + 1], entry)
end
redis.call('LTRIM', events, -$max_length, -1)
redis.call('PEXPIRE', events, $ttl)
redis.call('PEXPIRE', event_ids, $ttl)
"""

# KEYS: a list; ARGV: entries to remove from it. Each is near its head, so LREM finds it at once.
_REMOVE = """
for _, entry in ipairs(ARGV) do redis.call('LREM', KEYS[1], 1, entry) end
"""


class Script:
    """A Lua script, which runs in Redis; Redis caches it by the SHA-1 of its text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._sha = sha1(text.encode()).hexdigest()  # noqa: S324 - how Redis names scripts

    async def run(self, redis: RedisCommands, num_keys: int, *parts: str | int) -> Any:
        """Runs the script and returns its result; sends its text only if Redis has not cached it.

        Args:
            redis: client of the Redis that runs the script.
            num_keys: number of keys at the beginning of `parts`.
            parts: the keys that the script uses, then its arguments.
        """
        try:
            return await redis.execute_command("EVALSHA", self._sha, num_keys, *parts)
        except NoScriptError:
            return await redis.execute_command("EVAL", self._text, num_keys, *parts)


def append_script(retention: Retention) -> Script:
    """Makes the script that moves a session to its current name and appends an event.

    The script returns the entries of the history that ends with the event. The limits in
    `retention` are part of the script's text, since they are the same in every run.
    """
    return _with_limits(_APPEND, retention)


def insert_script(retention: Retention) -> Script:
    """Makes the script that inserts an event at its place in the order of time.

    See `ReplayableStore.insert`. The limits in `retention` are part of the script's text.
    """
    return _with_limits(_INSERT, retention)


def _with_limits(text: str, retention: Retention) -> Script:
    limits = {
        "max_length": retention.max_length,
        "ttl": round(retention.ttl_seconds * 1000),
        "window": round(retention.event_id_seconds * 1_000_000),
        "max_event_ids": retention.max_event_ids,
    }
    return Script(Template(text).substitute(limits))


REMOVE = Script(_REMOVE)
