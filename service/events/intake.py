"""Checks the types and times of events that clients send, and makes the events to store.

If the event log is on, each event also carries the text of its entry in the log.
"""

import time
from collections.abc import Collection, Sequence
from typing import Protocol

import orjson

from export.contract.log import events as log
from service.errors import InvalidRequestError
from service.events.ids import SortableIds
from service.setting_parts.events import EventSettings
from service.stores.history.protocol import Event, Session

_SHOWN_TYPES = 20  # maximum number of types that an error lists


class GivenEvent(Protocol):
    """Protocol of an event as a client sends it; `service.api.schemas.events` has the schema."""

    @property
    def item_id(self) -> str:
        """Id of the event's item."""
        ...

    @property
    def event_id(self) -> str | None:
        """The client's id of the event; None: it has no id."""
        ...

    @property
    def event_type(self) -> str | None:
        """Type of the event; None: the default type."""
        ...

    @property
    def timestamp(self) -> int | None:
        """Time of the event in ms since 1970; None: now."""
        ...

    @property
    def value(self) -> float | None:
        """Number that live figures sum up, such as a price; None: no number."""
        ...

    @property
    def user_id(self) -> str | None:
        """The client's id of the user; None: the client names no user."""
        ...

    @property
    def recommendation_id(self) -> str | None:
        """Id of the answer that showed the item; None: unknown."""
        ...


class EventIntake:
    """Checks events of clients by the settings, and makes the events to store."""

    def __init__(self, settings: EventSettings, ids: SortableIds) -> None:
        self._ids = ids
        self._logs = settings.event_log == "on"
        self._types: Collection[str] = dict.fromkeys(settings.event_type_names)
        self._default_type = settings.event_type_names[0]
        self._history_types = settings.history_type_names
        self._max_age_seconds = settings.event_max_age_seconds
        self._max_ahead_seconds = settings.event_max_ahead_seconds

    def event_of(
        self,
        given: GivenEvent,
        session: Session | None,
        tenant: str,
        user_ref: str | None = None,
    ) -> Event:
        """Checks an event of a client and returns the event to store.

        Args:
            given: the event as the client sent it.
            session: session of the event; None: the event is neither stored nor logged.
            tenant: owner of the session.
            user_ref: user ref of the user; None: the client names no user.

        Raises:
            InvalidRequestError: the type is not in EVENT_TYPES, or the time is too old or too new.
        """
        event_type = given.event_type
        if event_type is None:
            event_type = self._default_type
        elif event_type not in self._types:
            raise InvalidRequestError("event_type", self._unknown(event_type))
        if given.timestamp is not None:
            self._check_time(given.timestamp)
        is_for_history = event_type in self._history_types
        if session is None or not self._logs:
            return Event(given.item_id, given.event_id, is_for_history, None, user_ref)
        text = self._text(given, event_type, tenant, session.ref, user_ref)
        return Event(given.item_id, given.event_id, is_for_history, text, user_ref)

    def tombstones_of(self, session: Session, tenant: str) -> Sequence[str]:
        """Returns the entries of the event log that erase a session under each of its names.

        `tenant`: owner of the session. Each entry is a text. If the event log is off, returns none.
        """
        if not self._logs:
            return ()
        now = time.time_ns() // 1_000_000
        return [
            log.text_of_entry([log.Tombstone(log.SCHEMA, tenant, ref, None, now)])
            for ref in (session.ref, *session.former_refs)
        ]

    def user_tombstone(self, user_ref: str, tenant: str) -> str | None:
        """Returns the log entry, a text, that erases the events of a tenant's user.

        `user_ref`: user ref of the user. Returns None if the event log is off.
        """
        if not self._logs:
            return None
        now = time.time_ns() // 1_000_000
        return log.text_of_entry([log.Tombstone(log.SCHEMA, tenant, None, user_ref, now)])

    def _text(
        self, given: GivenEvent, event_type: str, tenant: str, ref: str, user_ref: str | None
    ) -> str:
        now = time.time_ns() // 1_000_000
        event = log.Event(
            log.SCHEMA,
            given.event_id or self._ids.event_id(),
            tenant,
            ref,
            event_type,
            given.item_id,
            now if given.timestamp is None else given.timestamp,
            now,
            given.value,
            given.recommendation_id,
            user_ref,
        )
        return orjson.dumps(log.row_of(event)).decode()

    def _unknown(self, event_type: str) -> str:
        names = ", ".join(list(self._types)[:_SHOWN_TYPES])
        return f"must be one of {names} (EVENT_TYPES), not {event_type!r}"

    def _check_time(self, timestamp: int) -> None:
        age_seconds = time.time() - timestamp / 1000
        if not -self._max_ahead_seconds <= age_seconds <= self._max_age_seconds:
            raise InvalidRequestError(
                "timestamp",
                f"must be a time in ms since 1970, at most {self._max_age_seconds:g} s ago "
                f"(EVENT_MAX_AGE_SECONDS) and at most {self._max_ahead_seconds:g} s ahead "
                f"(EVENT_MAX_AHEAD_SECONDS), not {timestamp}",
            )
