"""A history store in Redis, shared by all workers; an append takes one round trip.

A session is a list of events and a sorted set of event ids; `redis_keys` has the names of the keys.
An entry of the list is event id, line feed and item id. An item id can contain a line feed. An
event id cannot, so the first line feed ends it. The score of an event id in the set is its time in
µs since 1970.

During a rolling upgrade, or while SESSION_SECRET changes, older replicas still write former names.
So each append first moves the events under former names to the current name.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from service.errors import (
    HistoryRefusalError,
    HistoryRejectionError,
    HistoryUnavailableError,
)
from service.stores.event_log.protocol import LogBounds, NoteNew, NotLoggedError
from service.stores.history.protocol import MAX_SESSIONS, MAX_USERS, Event, Retention, Session
from service.stores.history.redis_keys import (
    AllKeys,
    all_keys_of,
    erased_key_of,
    keys_of,
    stream_of,
    user_key_of,
    users_key_of,
)
from service.stores.history.session_scripts import (
    append_script,
    forget_script,
    insert_script,
    join_script,
)
from service.stores.redis_client import RedisCommands, redis_errors_as
from service.stores.redis_replies import rejects_for_good

_SEPARATOR = "\n"

unavailable = partial(
    redis_errors_as, HistoryUnavailableError, "the history store", HistoryRefusalError
)
"""Context manager that turns errors of Redis into errors of a history store.

It raises HistoryRefusalError if Redis refuses to write, else HistoryUnavailableError.
"""

_NEW = (0, 1)  # replies of the scripts to an event that is stored for the first time
_PROBE = ("SET", "history-write-probe", "1", "PX", 1000)


class RedisHistoryStore:
    """Stores each session as a Redis list of events and a sorted set of their event ids."""

    num_parts = 1

    def __init__(
        self,
        redis: RedisCommands,
        retention: Retention,
        *,
        has_journals: bool = False,
        log: LogBounds | None = None,
        note_new: NoteNew = lambda _: None,
        wait_seconds: float | None = None,
    ) -> None:
        """Makes a store that connects at its first command.

        Args:
            redis: client of the Redis that stores the sessions.
            retention: limits on the stored data of a session.
            has_journals: whether workers keep journals. Erasures then also store their time, so
                that no replay restores an erased session, or one of an erased user.
            log: limits of each stream of the event log; None: events are not logged.
            note_new: called for each event with a text for the log that is stored for the first
                time.
            wait_seconds: maximum time of all commands of one read or append together; None: each
                command has the deadline of `redis` alone.
        """
        self._redis = redis
        self._script = append_script(retention, log)
        self._insert_script = insert_script(retention, log)
        self._join_script = join_script(retention)
        self._forget_script = None if log is None else forget_script(log)
        self._has_log = log is not None
        self._note_new = note_new
        self._ttl_ms = round(retention.ttl_seconds * 1000)
        self._has_journals = has_journals
        self._wait_seconds = wait_seconds

    async def append(self, session: Session, event: Event) -> Sequence[str]:
        """Implements `HistoryStore.append`."""
        if event.user_ref is None and not session.former_refs:
            return await self._append(session, event)
        with unavailable():
            async with asyncio.timeout_at(self._until()):
                await self._link(session, event.user_ref)
                return await self._append(session, event)

    async def _append(self, session: Session, event: Event) -> Sequence[str]:
        keys = all_keys_of(session)
        flat = keys.with_log if self._has_log else keys.flat
        parts: list[str | int] = [*flat, *self._arguments(event, now())]
        if keys.former_event_ids:
            parts.append(len(keys.former_event_ids))
        with unavailable():
            reply = await self._script.run(self._redis, len(flat), *parts)
        return self._history_in(reply, event)

    async def _link(self, session: Session, user_ref: str | None) -> None:
        """Links a session with the users of its former names, and with `user_ref` if not None.

        The next event moves the history to the current name, where an erasure of a user who was
        linked with a former name only would not find it.
        """
        if session.former_refs:
            refs = (session.ref, *session.former_refs)
            known, *former = await asyncio.gather(*map(self._users_of, refs))
            missing = {user: at for users in former for user, at in users.items()}
            for user in missing.keys() - known.keys():
                await self._join(user, session.ref, missing[user])
        if user_ref is not None:
            await self._join(user_ref, session.ref, now())

    async def _users_of(self, ref: str) -> Mapping[str, str]:
        """Returns the user refs of a session, each with the time of its last event."""
        key = users_key_of(ref)
        found = await self._redis.execute_command("ZRANGE", key, 0, -1, "WITHSCORES")
        return dict(zip(found[::2], found[1::2], strict=True))

    async def _join(self, user_ref: str, ref: str, at: int | str) -> None:
        """Links a session and a user in Redis, so that an erasure of one of them finds the other.

        Called before the event itself is stored. `at`: time of the event, in µs since 1970.
        """
        run, redis = self._join_script.run, self._redis
        with unavailable():
            await asyncio.gather(
                run(redis, 1, user_key_of(user_ref), ref, at, MAX_SESSIONS),
                run(redis, 1, users_key_of(ref), user_ref, at, MAX_USERS),
            )

    async def _leave_users(self, session: Session) -> None:
        """Removes an erased session from the sets of its users' sessions."""
        for ref in (session.ref, *session.former_refs):
            for user_ref in await self._redis.execute_command("ZRANGE", users_key_of(ref), 0, -1):
                await self._redis.execute_command("ZREM", user_key_of(user_ref), ref)
            await self._redis.execute_command("UNLINK", users_key_of(ref))

    def _arguments(self, event: Event, at: int) -> tuple[str | int, ...]:
        """Returns the arguments of the append and insert scripts that describe an event.

        They are event id ("" for None), item id and `at`, the time in µs since 1970. With an event
        log, the text of the log's entry follows, and 1 if the event is for the history, else 0.
        """
        if not self._has_log:
            return event.event_id or "", event.item_id, at
        is_for_history = int(event.is_for_history)
        return event.event_id or "", event.item_id, at, event.log_text or "", is_for_history

    def _history_in(self, reply: Any, event: Event) -> list[str]:
        """Returns the item ids in the append script's reply to `event`; notes a new event.

        Raises:
            NotLoggedError: the reply says that the event was left out of the event log.
        """
        if not self._has_log:
            return item_ids(reply)
        is_logged, entries = reply
        history = item_ids(entries)
        self._note(event, is_logged)
        if is_logged < 1:
            raise NotLoggedError(history, is_new=is_logged == 0)
        return history

    def _note(self, event: Event, is_logged: int | None) -> None:
        """Notes an event if it is new, as the number in the reply of a script says."""
        if is_logged in _NEW and event.log_text:
            self._note_new(event.log_text)

    async def read(self, session: Session) -> Sequence[str]:
        """Implements `HistoryStore.read`."""
        keys = all_keys_of(session)
        until = self._until()
        with unavailable():
            entries = await self._redis.execute_command("LRANGE", keys.current.events, 0, -1)
            if not entries and keys.former_events:
                async with asyncio.timeout_at(until):
                    entries = await self._read_former(keys)
        return item_ids(entries)

    async def insert(self, ref: str, event: Event, at: int) -> None:
        """Implements `ReplayableStore.insert`."""
        # The session has expired. The time of an erasure is not kept for longer either.
        if at <= now() - self._ttl_ms * 1000:
            return
        if event.user_ref is not None:
            if await self._is_erased(event.user_ref, at) or await self._is_erased(ref, at):
                return
            await self._join(event.user_ref, ref, now())
        keys = (*keys_of(ref), erased_key_of(ref), *([stream_of(ref)] if self._has_log else []))
        parts = (*keys, *self._arguments(event, at))
        try:
            with unavailable():
                is_logged = await self._insert_script.run(self._redis, len(keys), *parts)
        except HistoryUnavailableError as error:
            if rejects_for_good(error.__cause__):
                raise HistoryRejectionError(
                    f"Redis rejects the event: {error.__cause__}"
                ) from error
            raise
        self._note(event, is_logged)
        if is_logged is not None and is_logged < 1:
            raise NotLoggedError([], is_new=is_logged == 0)

    async def forget(self, session: Session, tombstones: Sequence[str] = ()) -> None:
        """Implements `HistoryStore.forget`."""
        with unavailable():
            await self._remember_as_erased(session.ref, *session.former_refs)
            await self._log_tombstones(session, tombstones)
            await self._redis.execute_command("UNLINK", *all_keys_of(session).flat)
            await self._leave_users(session)

    async def _log_tombstones(self, session: Session, tombstones: Sequence[str]) -> None:
        """Logs a tombstone for each session ref; the same script deletes the ref's events.

        Does nothing without an event log. `tombstones`: texts of log entries, one for the session
        ref, then one for each former ref.
        """
        if self._forget_script is None:
            return
        for ref, text in zip((session.ref, *session.former_refs), tombstones, strict=True):
            parts = (*keys_of(ref), stream_of(ref), text)
            await self._forget_script.run(self._redis, 3, *parts)

    async def sessions_of(self, user_ref: str) -> Sequence[str]:
        """Implements `HistoryStore.sessions_of`."""
        with unavailable():
            found: Sequence[str] = sorted(
                await self._redis.execute_command("ZRANGE", user_key_of(user_ref), 0, -1)
            )
        return found

    async def forget_user(self, user_ref: str, tombstone: str | None) -> None:
        """Implements `HistoryStore.forget_user`."""
        key = user_key_of(user_ref)
        with unavailable():
            await self._remember_as_erased(user_ref)
            if self._forget_script is None or tombstone is None:
                await self._redis.execute_command("UNLINK", key)
                return
            parts = (key, key, stream_of(user_ref), tombstone)
            await self._forget_script.run(self._redis, 3, *parts)

    def _until(self) -> float | None:
        """Returns the time `wait_seconds` from now, in seconds of the event loop's clock.

        Returns None if `wait_seconds` is None: commands then have no common deadline.
        """
        if self._wait_seconds is None:
            return None
        return asyncio.get_running_loop().time() + self._wait_seconds

    async def _read_former(self, keys: AllKeys) -> Sequence[str]:
        """Returns the list of events under the first former name that has any; [] if none has."""
        return next(filter(None, await self._read_lists(keys.former_events)), [])

    async def _read_lists(self, keys: Sequence[str]) -> Sequence[Sequence[str]]:
        read = self._redis.execute_command
        lists: Sequence[Sequence[str]] = await asyncio.gather(
            *(read("LRANGE", key, 0, -1) for key in keys)
        )
        return lists

    async def _is_erased(self, ref: str, at: int) -> bool:
        """Returns whether a user or session was erased at or after `at`, in µs since 1970."""
        with unavailable():
            erased_at = await self._redis.execute_command("GET", erased_key_of(ref))
        return erased_at is not None and int(erased_at) >= at

    async def _remember_as_erased(self, *refs: str) -> None:
        if self._has_journals:
            for ref in refs:
                parts = (erased_key_of(ref), now(), "PX", self._ttl_ms)
                await self._redis.execute_command("SET", *parts)

    def part_of(self, ref: str) -> int:  # noqa: ARG002 - of the protocol
        """Implements `HistoryStore.part_of`."""
        return 0

    def parts_by_node(self) -> Sequence[Sequence[int]]:
        """Implements `HistoryStore.parts_by_node`."""
        return [[part] for part in range(self.num_parts)]

    async def ping_part(self, part: int) -> None:  # noqa: ARG002 - of the protocol
        """Implements `HistoryStore.ping_part`."""
        await self.ping()

    async def ping(self) -> None:
        """Implements `HistoryStore.ping`."""
        with unavailable():
            await self._redis.execute_command("PING")

    async def check_write(self) -> None:
        """Implements `HistoryStore.check_write`: writes a key that expires after a second."""
        with unavailable():
            await self._redis.execute_command(*_PROBE)

    async def close(self) -> None:
        """Implements `HistoryStore.close`."""
        await self._redis.aclose()


def now() -> int:
    """Returns the time in µs since 1970."""
    return time.time_ns() // 1000


def item_ids(entries: Sequence[str]) -> list[str]:
    """Returns the item ids in the entries of a session's list of events, in their order."""
    parts = _SEPARATOR.join(entries).split(_SEPARATOR)
    if len(parts) == 2 * len(entries):  # no item id has a line feed; takes half the time
        return parts[1::2]
    return [entry[entry.index(_SEPARATOR) + 1 :] for entry in entries]
