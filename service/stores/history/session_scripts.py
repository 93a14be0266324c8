"""Lua scripts that change session histories in Redis and log events; each runs atomically."""

from string import Template

from export.contract.log.events import STREAM_FIELD
from service.stores.event_log.protocol import LogBounds
from service.stores.event_log.redis_log import CHECK_EVERY
from service.stores.history.protocol import Retention
from service.stores.redis_scripts import Script

# KEYS: 1. the list of events. 2. the set of event ids. Then the log's stream, if there is a log.
# Then all lists under former names, and all sets under former names.
# ARGV: 1. event id, empty if there is none. 2. item id. 3. time in µs. Then, if there is a log, the
# text of its entry, and whether the event is for the history. The rest is passed only if the
# session has sets under former names, or entries in other slots of a cluster: the number of these
# sets; the number of claimed batches; for each batch its token, its number of entries and the
# entries; event ids of other slots with their times, in the same form. The set of event ids keeps
# the tokens of moved batches, so that each is moved once. A token begins with a line feed, so it is
# never an event id.
#
# A full Redis refuses a script only at its first command that needs memory. So the script deletes
# nothing before it has added something.
_APPEND = """
local events, event_ids, now, has_moved, logged = KEYS[1], KEYS[2], ARGV[3], false, 1
$define_log

local function answer(entries) $answer end

local function move(entry)
  has_moved = true
  local event_id = string.match(entry, '^[^\\n]*')
  if event_id == '' or redis.call('ZADD', event_ids, 'NX', now, event_id) == 1 then
    redis.call('RPUSH', events, entry)
  end
end

local last_list = #KEYS - (ARGV[$first] or 0)
for number = $first_former, last_list do
  local entries = redis.call('LRANGE', KEYS[number], 0, -1)
  for _, entry in ipairs(entries) do move(entry) end
  if #entries > 0 then redis.call('UNLINK', KEYS[number]) end
end
for number = last_list + 1, #KEYS do
  local ids = redis.call('ZRANGE', KEYS[number], 0, -1, 'WITHSCORES')
  for at = 1, #ids, 2 do redis.call('ZADD', event_ids, 'NX', ids[at + 1], ids[at]) end
  if #ids > 0 then redis.call('UNLINK', KEYS[number]) end
end
local next_batch = $first + 2
for _ = 1, ARGV[$first + 1] or 0 do
  local first_entry = next_batch + 2
  local is_new = redis.call('ZADD', event_ids, 'NX', now, ARGV[next_batch]) == 1
  next_batch = first_entry + ARGV[next_batch + 1]
  if is_new then
    for number = first_entry, next_batch - 1 do move(ARGV[number]) end
  end
end
for at = next_batch, #ARGV, 2 do
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
    logged = 2
    $log_again
    local entries = redis.call('LRANGE', events, 0, -1)
    local prefix = event_id .. '\\n'
    for length = #entries, 1, -1 do
      if string.sub(entries[length], 1, #prefix) == prefix then
        return answer(redis.call('LRANGE', events, 0, length - 1))
      end
    end
    return answer(entries)
  end
  redis.call('ZADD', event_ids, now, event_id)
  redis.call('ZREMRANGEBYSCORE', event_ids, '-inf', window_began)
  redis.call('ZREMRANGEBYRANK', event_ids, 0, -1 - $max_event_ids)
end
$write_log
if $is_for_history then
  redis.call('RPUSH', events, event_id .. '\\n' .. ARGV[2])
  redis.call('LTRIM', events, -$max_length, -1)
end
redis.call('PEXPIRE', events, $ttl)
redis.call('PEXPIRE', event_ids, $ttl)
return answer(redis.call('LRANGE', events, 0, -1))
"""

# Parts of the other scripts, if there is a log. The first defines a function that adds the entry
# `text` to the stream `log` if the stream is not too large, and returns whether it did. Half a
# microsecond is added to the time of an event that is left out. So a repetition of the event is
# recognised, and logged if there is room by then.
_DEFINE_LOG = f"""
local log, text = KEYS[$log], ARGV[$text]
local function write_log()
  local length = redis.call('XLEN', log)
  if length % {CHECK_EVERY} == 0 and length > 0
    and redis.call('MEMORY', 'USAGE', log) > $max_log_bytes then return false end
  redis.call('XADD', log, '*', '{STREAM_FIELD}', text)
  return true
end
"""
_WRITE_LOG = """
if text ~= '' and not write_log() then
  logged = 0
  if event_id ~= '' then redis.call('ZADD', event_ids, ARGV[3] .. '.5', event_id) end
end
"""
_LOG_AGAIN = """
if begun % 1 > 0 then
  if text ~= '' and write_log() then
    redis.call('ZADD', event_ids, string.format('%.0f', begun - 0.5), event_id)
  else
    logged = -1
  end
end
"""

# KEYS: the list of events, the set of event ids, the time at which the session was erased. Then
# the log's stream, if there is a log.
# ARGV: event id, item id, time in µs. Then, if there is a log, the text of its entry, and whether
# the event is for the history.
#
# An entry whose time is unknown, because it has no id or its id has expired, counts as older.
_INSERT = """
local events, event_ids, event_id, at = KEYS[1], KEYS[2], ARGV[1], ARGV[3]
local erased = redis.call('GET', KEYS[3])
if erased and tonumber(erased) >= tonumber(at) then return end
local begun, logged = redis.call('ZSCORE', event_ids, event_id), 1
$define_log
if begun and tonumber(begun) > tonumber(at) - $window then
  logged = 2
  $log_again
  return logged
end
redis.call('ZADD', event_ids, at, event_id)
$write_log
redis.call('PEXPIRE', event_ids, $ttl)
if not ($is_for_history) then return logged end

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
return logged
"""

# KEYS: the list of events, the set of event ids, the stream of the log. ARGV: a tombstone.
_FORGET = f"""
if (redis.call('MEMORY', 'USAGE', KEYS[3]) or 0) > $max_log_bytes then
  return redis.error_reply('OOM the event log has its maximum size')
end
redis.call('XADD', KEYS[3], '*', '{STREAM_FIELD}', ARGV[1])
redis.call('UNLINK', KEYS[1], KEYS[2])
"""

# KEYS: the set of a user's session refs, or of a session's user refs, sorted by time.
# ARGV: a ref, the time in µs, the maximum number of refs.
_JOIN = """
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - ARGV[3])
redis.call('PEXPIRE', KEYS[1], $ttl)
"""

# KEYS: a list under a former name, the claimed batch; both lie in one slot. ARGV: a new token.
# Returns the entries of the batch and then its token. A batch that another append has claimed is
# returned as it is: `_APPEND` moves it once only.
_CLAIM = """
if redis.call('EXISTS', KEYS[2]) == 0 then
  if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
  redis.call('RENAME', KEYS[1], KEYS[2])
  redis.call('RPUSH', KEYS[2], ARGV[1])
end
return redis.call('LRANGE', KEYS[2], 0, -1)
"""

# KEYS: a claimed batch. ARGV: its token. A newer batch under the same key has another token, and
# is kept.
_REMOVE = """
if redis.call('LINDEX', KEYS[1], -1) == ARGV[1] then redis.call('UNLINK', KEYS[1]) end
"""


def append_script(retention: Retention, bounds: LogBounds | None) -> Script:
    """Makes the script that moves a session to its current name and appends an event.

    The script returns the entries of the history that ends with the event. With an event log, it
    returns a pair of a number and these entries. The number is 0 if the event was left out of the
    log, which is full. It is -1 if the event is a repetition of one that was left out, and the log
    is still full. It is 2 for any other repetition, and otherwise 1.

    Args:
        retention: limits on the stored data of a session, which are constants in the script.
        bounds: limits of the stream of the event log; None: there is no log.
    """
    return Script(_filled(_APPEND, retention, bounds))


def insert_script(retention: Retention, bounds: LogBounds | None) -> Script:
    """Makes the script that inserts an event into a history, at its place by time.

    The script implements `ReplayableStore.insert`. It returns 0 if the event is stored, but left
    out of a full event log, and -1 if it was stored and left out before, and is so again. It
    returns 2 if the event was stored before, nil if its session was erased, and otherwise 1.

    Args:
        retention: limits on the stored data of a session, which are constants in the script.
        bounds: limits of the stream of the event log; None: there is no log.
    """
    return Script(_filled(_INSERT, retention, bounds))


def join_script(retention: Retention) -> Script:
    """Makes the script that adds a ref to a user's set of sessions, or a session's set of users.

    The script drops the oldest refs beyond a maximum number, and renews the set's time to live:
    `retention.ttl_seconds`.
    """
    return Script(Template(_JOIN).substitute(ttl=round(retention.ttl_seconds * 1000)))


def forget_script(bounds: LogBounds) -> Script:
    """Makes the script that logs a tombstone and then deletes two keys.

    It refuses with an out-of-memory error, and deletes nothing, if the stream is larger than
    `bounds.tombstones` bytes.
    """
    return Script(Template(_FORGET).substitute(max_log_bytes=bounds.tombstones))


def _filled(text: str, retention: Retention, bounds: LogBounds | None) -> str:
    limits = {
        "max_length": retention.max_length,
        "ttl": round(retention.ttl_seconds * 1000),
        "window": round(retention.event_id_seconds * 1_000_000),
        "max_event_ids": retention.max_event_ids,
    }
    is_insertion = text is _INSERT
    log = dict.fromkeys(("define_log", "write_log", "log_again"), "")
    log |= {"is_for_history": "true", "answer": "return entries"}
    log |= {"first_former": "3", "first": "4"}
    if bounds is not None:
        places = {"log": 4 if is_insertion else 3, "text": 4, "max_log_bytes": bounds.events}
        log["define_log"] = Template(_DEFINE_LOG).substitute(places)
        log |= {"write_log": _WRITE_LOG, "log_again": _LOG_AGAIN}
        log |= {"is_for_history": "ARGV[5] == '1'", "answer": "return {logged, entries}"}
        log |= {"first_former": "4", "first": "6"}
    return Template(text).substitute(limits, **log)


CLAIM = Script(_CLAIM)
"""Renames a list under a former name, so that it can be moved to another slot exactly once."""

REMOVE = Script(_REMOVE)
"""Removes a claimed batch that has been moved."""
