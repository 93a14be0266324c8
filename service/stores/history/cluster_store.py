"""Session histories in a Redis Cluster, where all keys of a script must lie in one slot.

The keys under a session's former names can lie in other slots. So moving a session to its current
name takes three steps: claim, store, remove. The first step renames a list of events and adds a
token to it. The second step moves the events of each token only once. So no event is stored twice,
even if two appends run at the same time or a process ends between two steps.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from itertools import chain
from secrets import token_hex
from typing import Any

from redis.exceptions import RedisError

from service.stores.history.protocol import Event, Retention, Session
from service.stores.history.redis_keys import (
    NUM_TAGS,
    AllKeys,
    all_keys_of,
    moving_key_of,
    probe_key_of,
    tag_number,
)
from service.stores.history.redis_store import RedisHistoryStore, now, unavailable
from service.stores.history.session_scripts import CLAIM, REMOVE
from service.stores.redis_client import RedisCommands

_TOKEN_BYTES = 8


class ClusterHistoryStore(RedisHistoryStore):
    """Stores session histories in a Redis Cluster, each session on one node."""

    num_parts = NUM_TAGS  # all keys of a part lie in one slot, so on one node

    def __init__(
        self,
        redis: RedisCommands,
        retention: Retention,
        node_of: Callable[[str], Hashable] = lambda key: key,
        **options: Any,
    ) -> None:
        """Makes a store that connects at its first command.

        Args:
            redis: client of the cluster.
            retention: limits on the stored data of a session.
            node_of: returns the node that has a key, as far as known; by default, each key counts
                as one with a node of its own.
            options: further arguments of `RedisHistoryStore`.
        """
        super().__init__(redis, retention, **options)
        self._node_of = node_of

    def part_of(self, ref: str) -> int:
        """Implements `HistoryStore.part_of`."""
        return tag_number(ref)

    def parts_by_node(self) -> Sequence[Sequence[int]]:
        """Implements `HistoryStore.parts_by_node`."""
        parts_of: dict[Hashable, list[int]] = defaultdict(list)
        for part in range(self.num_parts):
            parts_of[self._node_of(probe_key_of(part))].append(part)
        return [*parts_of.values()]

    async def ping_part(self, part: int) -> None:
        """Implements `HistoryStore.ping_part`; asks the node that has the part's slot."""
        with unavailable():
            await self._redis.execute_command("EXISTS", probe_key_of(part))

    async def _append(self, session: Session, event: Event) -> Sequence[str]:
        keys = all_keys_of(session)
        names = keys.with_log[:3] if self._has_log else keys.current
        parts: list[str | int] = [*names, *self._arguments(event, now())]
        with unavailable():
            async with asyncio.timeout_at(self._until()):
                batches, event_ids = await self._claim_former(keys)
                parts += [0, sum(map(bool, batches))]
                for *entries, token in filter(None, batches):
                    parts += [token, len(entries), *entries]
                parts += chain(*event_ids)
                reply = await self._script.run(self._redis, len(names), *parts)
        await self._remove_former(keys, batches, event_ids)
        return self._history_in(reply, event)

    async def forget(self, session: Session, tombstones: Sequence[str] = ()) -> None:
        """Implements `HistoryStore.forget`."""
        keys = all_keys_of(session)
        moving = ([key, moving_key_of(key)] for key in keys.former_events)
        groups = (keys.current, *moving, *([key] for key in keys.former_event_ids))
        with unavailable():
            await self._remember_as_erased(session.ref, *session.former_refs)
            await self._log_tombstones(session, tombstones)
            await asyncio.gather(*(self._redis.execute_command("UNLINK", *each) for each in groups))
            await self._leave_users(session)

    async def _read_former(self, keys: AllKeys) -> Sequence[str]:
        """Returns the list of events under the first former name that has any; [] if none has.

        The list includes events that are being moved.
        """
        names = [name for key in keys.former_events for name in (moving_key_of(key), key)]
        moving_or_former = await self._read_lists(names)
        pairs = zip(moving_or_former[::2], moving_or_former[1::2], strict=True)
        # The last element of a claimed batch is its token.
        return next((found for each in pairs if (found := [*each[0][:-1], *each[1]])), [])

    async def _claim_former(
        self, keys: AllKeys
    ) -> tuple[Sequence[Sequence[str]], Sequence[Sequence[str]]]:
        """Renames the lists of events under former names, so that each is moved only once.

        Also reads the event ids under former names.

        Returns:
            Two lists. The first has a list for each former name: its entries, then a random token
            that identifies them. It is empty if the name has no entries. The second has a list for
            each set of event ids under a former name: each event id, followed by its time.
        """
        found = await asyncio.gather(
            *(
                CLAIM.run(self._redis, 2, key, moving_key_of(key), f"\n{token_hex(_TOKEN_BYTES)}")
                for key in keys.former_events
            ),
            *(
                self._redis.execute_command("ZRANGE", key, 0, -1, "WITHSCORES")
                for key in keys.former_event_ids
            ),
        )
        num_lists = len(keys.former_events)
        return found[:num_lists], found[num_lists:]

    async def _remove_former(
        self,
        keys: AllKeys,
        batches: Sequence[Sequence[str]],
        event_ids: Sequence[Sequence[str]],
    ) -> None:
        """Removes events and event ids from the former names, after they were moved.

        The appended event is stored already, so errors of Redis are ignored. The next append of the
        session then removes the rest. `batches` and `event_ids` are the result of `_claim_former`.
        """
        claimed = zip(keys.former_events, batches, strict=True)
        tokens = {moving_key_of(key): each[-1] for key, each in claimed if each}
        read = zip(keys.former_event_ids, event_ids, strict=True)
        with suppress(RedisError, OSError):
            await asyncio.gather(
                *(REMOVE.run(self._redis, 1, key, token) for key, token in tokens.items()),
                *(self._redis.execute_command("UNLINK", key) for key, each in read if each),
            )
