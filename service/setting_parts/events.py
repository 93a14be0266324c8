"""Settings of events: their types, limits of their timestamps, the event log, live figures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings

from export.contract.log.events import MAX_TYPE_LENGTH

_DAY_SECONDS = 24 * 3600
_MIB = 1 << 20


class EventSettings(BaseSettings):
    """Settings of events; a base class of `service.settings.Settings`."""

    event_types: str = Field(
        default="click, view, cart, purchase",
        description="EVENT_TYPES: the types that events may have, separated by commas; the first "
        "is that of events without `event_type`",
    )
    history_event_types: str | None = Field(
        default=None,
        description="HISTORY_EVENT_TYPES: the types of EVENT_TYPES whose events are stored in the "
        "history of their session, which items are recommended for; unset = all",
    )
    event_max_age_seconds: float = Field(
        default=30 * _DAY_SECONDS,
        gt=0,
        description="EVENT_MAX_AGE_SECONDS: maximum age of an event by its `timestamp`; an older "
        "one is refused",
    )
    event_max_ahead_seconds: float = Field(
        default=60.0,
        ge=0,
        description="EVENT_MAX_AHEAD_SECONDS: maximum time by which the `timestamp` of an event "
        "may lie in the future, for clients whose clocks are ahead; a later one is refused",
    )
    event_log: Literal["off", "on"] = Field(
        default="off",
        description="EVENT_LOG: whether events, and what was recommended, are kept for training: "
        "in streams of REDIS_URL, or without it in EVENT_LOG_PATH, until "
        "`distilled-recommender collect` fetches them; needs SESSION_SECRET",
    )
    event_log_path: Path = Field(
        default=Path("event-log"),
        description="EVENT_LOG_PATH: folder of the event log if REDIS_URL is unset, on a disk that "
        "outlives the process",
    )
    event_log_max_bytes: int = Field(
        default=64 * _MIB,
        ge=8 * _MIB,
        description="EVENT_LOG_MAX_BYTES: maximum size of what is not collected yet, about 250 "
        "bytes an event; with Redis well below its maxmemory. When 7/8 are reached, events are "
        "left out of the log and still stored in their sessions",
    )
    impressions: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="IMPRESSIONS: share of the answers whose items are kept in the event log",
    )
    counted_items: int = Field(
        default=2_000,
        ge=0,
        le=10_000,  # Redis reads this many in one command
        description="COUNTED_ITEMS: maximum number of items whose events are counted for "
        "/v1/popular, by tenant, event type and period of time; 0 = none. With EVENT_LOG=on only; "
        "in REDIS_URL, or without it in memory",
    )

    experiments_path: Path | None = Field(
        default=None,
        description="EXPERIMENTS_PATH: the file of `distilled-recommender experiments`, which "
        "/v1/experiments answers from; it is read again when it changes; unset = no figures",
    )

    @property
    def event_type_names(self) -> Sequence[str]:
        """The names in EVENT_TYPES, in their order; the first is the default type."""
        return _names(self.event_types)

    @property
    def history_type_names(self) -> frozenset[str]:
        """The event types that are stored in histories: HISTORY_EVENT_TYPES, or all if unset."""
        return frozenset(_names(self.history_event_types or self.event_types))

    @model_validator(mode="after")
    def _check_event_types(self) -> Self:
        names = self.event_type_names
        if not names or any(len(each) > MAX_TYPE_LENGTH for each in names):
            raise ValueError(
                f"EVENT_TYPES = {self.event_types!r} needs names of 1 to {MAX_TYPE_LENGTH} "
                "characters, separated by commas"
            )
        if unknown := self.history_type_names - set(names):
            raise ValueError(
                f"HISTORY_EVENT_TYPES has {', '.join(sorted(unknown))}, which EVENT_TYPES lacks: "
                "name it there too"
            )
        return self


def _names(text: str) -> list[str]:
    return [name for part in text.split(",") if (name := part.strip())]
