"""The event log in Redis: 64 streams, one for each hash tag of the sessions' keys.

`service.stores.history` appends an event to a stream in the same script that stores the event. Each
stream has at most a 64th of EVENT_LOG_MAX_BYTES, as measured by Redis itself. So the log cannot
grow into the memory that sessions need.
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
    """Returns the size limits of one stream of a log with at most `max_bytes` in all streams."""
    return LogBounds.of(max_bytes // len(STREAMS))


# KEYS: a stream. ARGV: the text of an entry, the maximum number of bytes.
_APPEND = Script(f"""
if (redis.call('MEMORY', 'USAGE', KEYS[1]) or 0) > tonumber(ARGV[2]) then return 0 end
redis.call('XADD', KEYS[1], '*', '{STREAM_FIELD}', ARGV[1])
return 1
""")


class RedisLog:
    """Appends impressions to the event log in Redis; each entry goes to the next of its streams."""

    def __init__(self, redis: RedisCommands, max_bytes: int) -> None:
        """Makes a log that connects at its first command.

        Args:
            redis: client of the Redis that has the streams.
            max_bytes: maximum size of all streams together.
        """
        self._redis = redis
        self._log_bytes = max_bytes
        self._max_bytes = stream_bounds(max_bytes).impressions
        self._streams = cycle(STREAMS)

    async def append_impressions(self, text: str) -> LeftOut | None:
        """Implements `ImpressionLog.append_impressions`."""
        try:
            written = await _APPEND.run(self._redis, 1, next(self._streams), text, self._max_bytes)
        except (RedisError, OSError):
            return "log_failed"
        return None if written else "log_full"

    async def follow(self) -> None:
        """Warns once if a full event log would take more than half of Redis' maximum memory.

        The warning goes to the service's log. Does nothing if Redis does not answer, or has no
        maximum memory.
        """
        try:
            memory = await self._redis.execute_command("INFO", "memory")
        except (RedisError, OSError):
            return  # the history store logs the failure
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
    """Returns `maxmemory` in bytes from a reply to `INFO memory`; 0 if unlimited or missing."""
    if isinstance(memory, Mapping):  # as redis-py's clients return it
        found = memory.get("maxmemory", 0)
        return found if isinstance(found, int) else 0
    lines = dict(line.partition(":")[::2] for line in memory.splitlines())
    return int(lines.get("maxmemory", "0"))
