"""Token bucket and daily quota of one key, kept in memory or in Redis by the same rules.

The bucket refills at `requests_per_second` and holds at most `burst` tokens. A quota counts the
requests of a day in UTC. A worker takes tokens for several requests at once, as a lease. It returns
the unused tokens when it takes the next lease.
"""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha1
from typing import Any

from redis.exceptions import NoScriptError

from service.access.principal import Limits

DAY_SECONDS = 86_400
UNLIMITED = 0
"""Value of the Redis script's arguments for rate and daily quota that means no limit."""

Execute = Callable[..., Awaitable[Any]]
"""A function that sends one command to Redis and returns its reply."""

# Reads the clock of Redis, so that all workers use the same one. Redis replicates the writes of a
# script, not its text, so a script that reads the clock is allowed to write. The TTL is ten years,
# far longer than that of a session: a full Redis evicts first what expires first, and a state that
# is evicted would begin rate and quota anew. There are few keys, and a new day resets `used`.
_SCRIPT = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local rate, burst, per_day = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local granted, unused = tonumber(ARGV[4]), tonumber(ARGV[5])
local state = redis.call('HMGET', KEYS[1], 'tokens', 'at', 'day', 'used')
local day, wait = math.floor(now / 86400), 0
local tokens, used = burst, 0
if state[1] and rate > 0 then
  tokens = math.min(burst, state[1] + unused + math.max(0, now - state[2]) * rate)
end
if tonumber(state[3]) == day then used = math.max(0, state[4] - unused) end
if rate > 0 then
  granted = math.min(granted, math.floor(tokens))
  if granted < 1 then wait = (1 - tokens) / rate end
end
if per_day > 0 then
  granted = math.min(granted, per_day - used)
  if used >= per_day then wait = math.max(wait, (day + 1) * 86400 - now) end
end
granted = math.max(0, granted)
if rate > 0 then tokens = tokens - granted end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens),
  'at', string.format('%.6f', now), 'day', day, 'used', string.format('%d', used + granted))
redis.call('PEXPIRE', KEYS[1], 315360000000)
return {granted, string.format('%.6f', wait)}
"""
_SCRIPT_SHA = sha1(_SCRIPT.encode()).hexdigest()  # noqa: S324 - how Redis names scripts


@dataclass(frozen=True, slots=True)
class Grant:
    """The reply of a bucket: the number of granted tokens, or the time to wait for one.

    Attributes:
        tokens: number of granted tokens; each allows one request.
        wait_seconds: time until the next token, if none was granted; else 0.
    """

    tokens: int
    wait_seconds: float = 0.0


def burst_of(limits: Limits) -> int:
    """Returns the capacity, in tokens, of the bucket of a key with these limits.

    This is `limits.burst`. If that is None, it is the refill of one second, at least 1.
    """
    return limits.burst or max(1, int(limits.requests_per_second or 1))


class Bucket:
    """The token bucket and the daily quota of one key, in the memory of this worker."""

    __slots__ = ("_at", "_day", "_tokens", "_used")

    def __init__(self) -> None:
        self._tokens = math.inf
        self._at = 0.0
        self._day = self._used = 0

    def take(self, limits: Limits, want: int, unused: int, now: float) -> Grant:
        """Puts `unused` tokens back, then takes up to `want` tokens.

        Args:
            limits: the limits of the key.
            want: number of tokens to take, at least 1.
            unused: number of tokens that were taken earlier and not used.
            now: Unix time.
        """
        rate, per_day, wait = limits.requests_per_second, limits.requests_per_day, 0.0
        granted, day = want, int(now // DAY_SECONDS)
        self._used = max(0, self._used - unused) if day == self._day else 0
        if rate:
            came = unused + max(0.0, now - self._at) * rate
            self._tokens = min(burst_of(limits), self._tokens + came)
            granted = min(granted, int(self._tokens))
            wait = 0.0 if granted >= 1 else (1 - self._tokens) / rate
        if per_day:
            granted = min(granted, per_day - self._used)
            if self._used >= per_day:
                wait = max(wait, (day + 1) * DAY_SECONDS - now)
        granted = max(0, granted)
        self._tokens -= granted
        self._used += granted
        self._at, self._day = now, day
        return Grant(granted, wait)


async def take_shared(
    execute: Execute, key_id: str, limits: Limits, want: int, unused: int
) -> Grant:
    """Takes tokens from the bucket of a key in Redis, which all workers share.

    Puts `unused` tokens back, then takes up to `want` tokens, like `Bucket.take`.

    Args:
        execute: sends a command to Redis and returns the reply.
        key_id: public part of the key.
        limits: the limits of the key.
        want: number of tokens to take, at least 1.
        unused: number of tokens that this worker took earlier and did not use.

    Raises:
        RedisError: Redis refuses the command, is too slow, or cannot be reached.
        OSError: the network fails.
    """
    rate, per_day = limits.requests_per_second or UNLIMITED, limits.requests_per_day or UNLIMITED
    call = (1, f"limit:{key_id}", str(rate), burst_of(limits), per_day, want, unused)
    try:
        granted, wait = await execute("EVALSHA", _SCRIPT_SHA, *call)
    except NoScriptError:
        granted, wait = await execute("EVAL", _SCRIPT, *call)
    return Grant(int(granted), float(wait))
