"""The event log in Redis: one of 64 streams for each session, in the cluster slot of its keys.

`service.stores.history` appends events in the same script as it stores them. A stream has at most
a 64th of EVENT_LOG_MAX_BYTES, as Redis itself measures it. So the log never takes memory that
sessions need.
"""

import logging
from collections.abc import Mapping
from itertools import cycle

from redis.exceptions import RedisError

from export.contract.log.events import STREAM_FIELD, STREAMS
from service.stores.event_log.protocol import LeftOut, LogBounds
from service.stores.redis_client import RedisCommands
from service.stores.redis_scripts import Script

logger = logging.getLogger(__name__)

CHECK_EVERY = 16
"""Number of entries after which a stream is measured again; measuring takes longer than adding."""


def stream_bounds(max_bytes: int) -> LogBounds:
    """Returns the limits of one stream of a log that has at most `max_bytes`."""
    return LogBounds.of(max_bytes // len(STREAMS))


# KEYS: a stream. ARGV: the text of an entry, the maximum number of bytes.
_APPEND = Script(f"""
if (redis.call('MEMORY', 'USAGE', KEYS[1]) or 0) > tonumber(ARGV[2]) then return 0 end
redis.call('XADD', KEYS[1], '*', '{STREAM_FIELD}', ARGV[1])
return 1
""")


class RedisLog:
    """Writes impressions to the streams in turn."""

    def __init__(self, redis: RedisCommands, max_bytes: int) -> None:
        """Makes it; connects at the first command. `max_bytes`: maximum size of the whole log."""
        self._redis = redis
        self._log_bytes = max_bytes
        self._max_bytes = stream_bounds(max_bytes).impressions
        self._streams = cycle(STREAMS)

    async def append_impressions(self, text: str) -> LeftOut | None:
        """See ImpressionLog."""
        try:
            written = await _APPEND.run(self._redis, 1, next(self._streams), text, self._max_bytes)
        except (RedisError, OSError):
            return "log_failed"
        return None if written else "log_full"

    async def follow(self) -> None:
        """Warns once if Redis has not enough memory for the log and the sessions."""
        try:
            memory = await self._redis.execute_command("INFO", "memory")
        except (RedisError, OSError):
            return  # the history store tells of it
        room = _max_memory(memory)
        if room and 2 * self._log_bytes > room:
            logger.warning(
                "EVENT_LOG_MAX_BYTES = %d is more than half of Redis' maxmemory = %d: a full log "
                "leaves too little room for sessions; lower it, or raise maxmemory",
                self._log_bytes,
                room,
            )

    async def close(self) -> None:
        """Closes the connection."""
        await self._redis.aclose()


def _max_memory(memory: str | Mapping[str, object]) -> int:
    """Returns `maxmemory` in a reply of `INFO memory`; 0: no limit, or it is not told."""
    if isinstance(memory, Mapping):  # as redis-py's clients return it
        found = memory.get("maxmemory", 0)
        return found if isinstance(found, int) else 0
    lines = dict(line.partition(":")[::2] for line in memory.splitlines())
    return int(lines.get("maxmemory", "0"))
