"""Checks the types and times of events that clients send, and makes the events to store."""

import time
from collections.abc import Collection
from typing import Protocol

from service.errors import InvalidRequestError
from service.setting_parts.events import EventSettings
from service.stores.history.protocol import Event

_SHOWN_TYPES = 20  # maximum number of types that an error lists


class GivenEvent(Protocol):
    """Protocol of an event as a client gives it; `service.api.event_schemas` has the schema."""

    @property
    def item_id(self) -> str:
        """Id of the item."""
        ...

    @property
    def event_id(self) -> str | None:
        """The client's id of the event."""
        ...

    @property
    def event_type(self) -> str | None:
        """Type of the event; None: the default one."""
        ...

    @property
    def timestamp(self) -> int | None:
        """Time of the event in ms since 1970; None: now."""
        ...


class EventIntake:
    """Checks client events, and makes the events to store, by the settings."""

    def __init__(self, settings: EventSettings) -> None:
        self._types: Collection[str] = dict.fromkeys(settings.event_type_names)
        self._default_type = settings.event_type_names[0]
        self._history_types = settings.history_type_names
        self._max_age_seconds = settings.event_max_age_seconds
        self._max_ahead_seconds = settings.event_max_ahead_seconds

    def event_of(self, given: GivenEvent, prefix: str = "") -> Event:
        """Returns the event to store.

        Args:
            given: the event as the client sent it.
            prefix: precedes the field's name in an error, such as `events[3].`.

        Raises:
            InvalidRequestError: its type is not in EVENT_TYPES, or its time is too old or too new.
        """
        event_type = given.event_type
        if event_type is None:
            event_type = self._default_type
        elif event_type not in self._types:
            raise InvalidRequestError(f"{prefix}event_type", self._unknown(event_type))
        if given.timestamp is not None:
            self._check_time(given.timestamp, prefix)
        return Event(given.item_id, given.event_id, event_type in self._history_types)

    def _unknown(self, event_type: str) -> str:
        names = ", ".join(list(self._types)[:_SHOWN_TYPES])
        return f"must be one of {names} (EVENT_TYPES), not {event_type!r}"

    def _check_time(self, timestamp: int, prefix: str) -> None:
        age_seconds = time.time() - timestamp / 1000
        if not -self._max_ahead_seconds <= age_seconds <= self._max_age_seconds:
            raise InvalidRequestError(
                f"{prefix}timestamp",
                f"must be a time in ms since 1970, at most {self._max_age_seconds:g} s ago "
                f"(EVENT_MAX_AGE_SECONDS) and at most {self._max_ahead_seconds:g} s ahead "
                f"(EVENT_MAX_AHEAD_SECONDS), not {timestamp}",
            )
