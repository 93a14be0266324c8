"""Session histories in Redis, shared by all workers; each operation takes one round trip.

A session is a list of events and a sorted set of event ids, see `redis_keys`. An entry of the list
is `event_id`, a line feed and `item_id`. An event id never contains a line feed, so the first one
ends it, and an item id may contain any character. The score of an event id is its time in µs.

During a rolling upgrade, or while SESSION_SECRET changes, older replicas still write former names.
So every event that is appended moves what is there to the end of the session.
"""

import time
from collections.abc import Sequence
from functools import partial

from service.errors import HistoryRefusalError, HistoryUnavailableError
from service.stores.history.protocol import Event, Retention, Session
from service.stores.history.redis_keys import all_keys_of
from service.stores.history.redis_scripts import append_script
from service.stores.redis_client import RedisCommands, redis_errors_as

_SEPARATOR = "\n"

unavailable = partial(
    redis_errors_as, HistoryUnavailableError, "the history store", HistoryRefusalError
)
"""Context that raises errors of Redis as those of a history store."""

_PROBE = ("SET", "history-write-probe", "1", "PX", 1000)


class RedisHistoryStore:
    """Stores each session as a Redis list, with a sorted set of its event ids."""

    def __init__(self, redis: RedisCommands, retention: Retention) -> None:
        self._redis = redis
        self._script = append_script(retention)

    async def append(self, session: Session, event: Event) -> Sequence[str]:
        """See HistoryStore."""
        keys = all_keys_of(session)
        parts: list[str | int] = [
            *keys.flat(),
            event.event_id or "",
            event.item_id,
            time.time_ns() // 1000,
        ]
        if keys.former_event_ids:
            parts.append(len(keys.former_event_ids))
        with unavailable():
            return item_ids(await self._script.run(self._redis, len(keys.flat()), *parts))

    async def read(self, session: Session) -> Sequence[str]:
        """See HistoryStore."""
        keys = all_keys_of(session)
        with unavailable():
            for key in (keys.current.events, *keys.former_events):
                if entries := await self._redis.execute_command("LRANGE", key, 0, -1):
                    return item_ids(entries)
        return []

    async def forget(self, session: Session) -> None:
        """See HistoryStore."""
        with unavailable():
            await self._redis.execute_command("UNLINK", *all_keys_of(session).flat())

    async def ping(self) -> None:
        """See HistoryStore."""
        with unavailable():
            await self._redis.execute_command("PING")

    async def check_write(self) -> None:
        """See HistoryStore. Writes a key that expires after a second."""
        with unavailable():
            await self._redis.execute_command(*_PROBE)

    async def close(self) -> None:
        """See HistoryStore."""
        await self._redis.aclose()


def item_ids(entries: Sequence[str]) -> list[str]:
    """Returns the item ids of the entries of a list."""
    return [entry[entry.index(_SEPARATOR) + 1 :] for entry in entries]
