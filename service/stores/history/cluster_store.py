"""Session histories in a Redis Cluster, where all keys of a script must lie in one slot.

The keys under a session's former names can lie in other slots. So moving a session to its current
name takes three steps: read, store, remove. If the process ends before the third step, the next
append moves the events again. It then stores a second copy of those that have no id.
"""

import asyncio
from collections.abc import Sequence
from itertools import chain

from service.stores.history.protocol import Event, Session
from service.stores.history.redis_keys import AllKeys, all_keys_of
from service.stores.history.redis_store import RedisHistoryStore, now, unavailable
from service.stores.history.session_scripts import REMOVE


class ClusterHistoryStore(RedisHistoryStore):
    """Stores session histories in a Redis Cluster, each session on one node."""

    async def append(self, session: Session, event: Event) -> Sequence[str]:
        """See HistoryStore."""
        if event.user_ref is not None:
            await self._join(event.user_ref, session.ref)
        keys = all_keys_of(session)
        with unavailable():
            entries, event_ids = await self._read_former(keys)
            names = keys.with_log[:3] if self._has_log else keys.current
            parts: list[str | int] = [*names, *self._arguments(event, now())]
            parts += [0, sum(map(len, entries))]
            parts += chain(*entries, *event_ids)
            reply = await self._script.run(self._redis, len(names), *parts)
            await self._remove_former(keys, entries, event_ids)
        return self._history_in(reply)

    async def forget(self, session: Session, tombstones: Sequence[str] = ()) -> None:
        """See HistoryStore."""
        keys = all_keys_of(session)
        groups = (keys.current, *([key] for key in keys.flat[2:]))
        with unavailable():
            await self._remember_as_erased(session)
            await self._log_tombstones(session, tombstones)
            await asyncio.gather(*(self._redis.execute_command("UNLINK", *each) for each in groups))

    async def _read_former(
        self, keys: AllKeys
    ) -> tuple[Sequence[Sequence[str]], Sequence[Sequence[str]]]:
        """Reads the events and event ids that are stored under former names.

        Returns:
            The entries of each list of events, and of each set the event ids, each followed by its
            time.
        """
        read = self._redis.execute_command
        found = await asyncio.gather(
            *(read("LRANGE", key, 0, -1) for key in keys.former_events),
            *(read("ZRANGE", key, 0, -1, "WITHSCORES") for key in keys.former_event_ids),
        )
        num_lists = len(keys.former_events)
        return found[:num_lists], found[num_lists:]

    async def _remove_former(
        self,
        keys: AllKeys,
        entries: Sequence[Sequence[str]],
        event_ids: Sequence[Sequence[str]],
    ) -> None:
        """Removes moved entries and event ids from the former names.

        Entries that another process added after they were read stay in their lists.
        """
        for key, moved in zip(keys.former_events, entries, strict=True):
            if moved:
                await REMOVE.run(self._redis, 1, key, *moved)
        for key, moved in zip(keys.former_event_ids, event_ids, strict=True):
            if moved:
                await self._redis.execute_command("UNLINK", key)
