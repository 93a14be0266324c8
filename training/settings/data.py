"""Settings of the data: its source, the k-core filter and the split."""

from collections.abc import Set
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from training.settings.section import Section


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


Moment = Annotated[datetime, AfterValidator(_in_utc)]
"""A date with a time; without a time zone it is UTC."""


class EventsConfig(Section):
    """Settings of the event log as a source of interactions: which events are read."""

    folder: str = Field(
        min_length=1,
        description="folder of the event log, or its address (`s3://…`, `gs://…`); `collect` "
        "writes it",
    )
    since: Moment | None = Field(default=None, description="leave out events before this moment")
    until: Moment | None = Field(default=None, description="leave out events from this moment on")
    last_days: float | None = Field(
        default=None,
        gt=0,
        description="leave out events that are older; counted back from `until`, or else from the "
        "end of the newest hour with an event",
    )
    types: tuple[str, ...] = Field(
        default=(), description="event types that are interactions; none stands for all types"
    )
    tenants: tuple[str, ...] = Field(
        default=(), description="tenants whose events are read; none stands for all tenants"
    )
    user: Literal["session", "user"] = Field(
        default="session",
        description="user of the dataset: a session, or all sessions with the same user_ref; a "
        "session without user_ref is a user of its own",
    )
    session_gap_minutes: float | None = Field(
        default=None,
        gt=0,
        description="after this time without an event, a session's or user's next event begins a "
        "new user of the dataset",
    )
    max_events_per_minute: int | None = Field(
        default=None,
        ge=1,
        description="users with more events than this within 60 s are bots and are left out",
    )
    unknown_items: Literal["leave-out", "refuse"] = Field(
        default="leave-out",
        description="treatment of an event whose item is not in the table of items",
    )

    @field_validator("last_days")
    @classmethod
    def _the_window_has_one_beginning(
        cls, last_days: float | None, others: ValidationInfo
    ) -> float | None:
        if last_days is not None and others.data.get("since") is not None:
            raise ValueError(f"{last_days}: since is given too; remove one of them")
        return last_days


class SqlConfig(Section):
    """Settings of a database as a source: its address, and the queries of both tables."""

    address_variable: str = Field(
        min_length=1,
        description="name of the environment variable that has the database's address, "
        "`postgresql://…` or `sqlite:///shop.db`; the address is neither stored nor shown",
    )
    interactions: str = Field(
        min_length=1,
        description="query of the interactions; its columns are those of a table, and `ORDER BY` "
        "decides the order of users and of equal timestamps",
    )
    items: str | None = Field(
        default=None, min_length=1, description="query of the items, instead of `data.items`"
    )


class DataConfig(Section):
    """Settings of the data: source, k-core filter, and split into training and held-out rows."""

    ADDED_LATER: ClassVar[Set[str]] = {"events", "order", "sql", "test_since"}

    source: Literal["movielens", "tables", "events", "sql"] = Field(
        description="`tables` reads the files below, `events` the event log of [data.events], "
        "`sql` the results of the queries of [data.sql]; `movielens` comes with a Python package"
    )
    interactions: Path | None = Field(
        default=None,
        description="CSV, Parquet, Arrow or `.inter` file, or a folder or pattern of such files, "
        "such as a dataset of Hugging Face; for `tables` only",
    )
    items: Path | None = Field(
        default=None,
        description="CSV, Parquet, Arrow or `.item` file of ids and titles, a folder or pattern of "
        "such files, or items.jsonl of a bundle; for `tables` and `events`, and for `sql` without "
        "a query of the items",
    )
    events: EventsConfig | None = Field(
        default=None, validate_default=True, description="the event log, for `events` only"
    )
    sql: SqlConfig | None = Field(
        default=None, validate_default=True, description="the queries, for `sql` only"
    )
    missing_titles: Literal["refuse", "placeholder"] = Field(
        default="refuse",
        description="treatment of an item without a title: an error, or the title `Untitled item "
        "<item_id>`",
    )
    order: Literal["source", "ids"] = Field(
        default="source",
        description="order of users, of items and of a user's rows with equal times: as in the "
        "source, or by their ids, so that the same rows in any order give the same dataset; for "
        "`tables` and `sql`",
    )
    min_interactions: int = Field(
        default=5,
        ge=1,
        description="k of the k-core filter: users and items with fewer interactions are left out; "
        "1 = no filter; ignored for data with a `split` column",
    )
    split: Literal["time", "leave-one-out"] = Field(
        default="time",
        description="`time` splits all users at the same two moments, `leave-one-out` holds out "
        "each user's last two interactions; ignored for data with a `split` column",
    )
    validation_share: float = Field(
        default=0.1, gt=0, lt=0.5, description="share of interactions, for a split by time"
    )
    test_share: float = Field(
        default=0.1, gt=0, lt=0.5, description="share of interactions, for a split by time"
    )

    test_since: Moment | None = Field(
        default=None,
        description="for `events`, split by time: events from this moment on are test, instead of "
        "the newest test_share; validation_share is of the events before it",
    )

    @field_validator("test_since")
    @classmethod
    def _a_moment_divides_events(
        cls, test_since: Moment | None, others: ValidationInfo
    ) -> Moment | None:
        given = others.data.get("source"), others.data.get("split")
        if test_since is not None and given != ("events", "time"):
            raise ValueError("needs data.source = 'events' and data.split = 'time'")
        return test_since

    @field_validator("order")
    @classmethod
    def _tables_are_ordered(
        cls, order: Literal["source", "ids"], others: ValidationInfo
    ) -> Literal["source", "ids"]:
        if order == "ids" and others.data.get("source") not in ("tables", "sql"):
            raise ValueError("'ids' needs data.source = 'tables' or 'sql'")
        return order

    @field_validator("events")
    @classmethod
    def _an_event_log_is_named(
        cls, events: EventsConfig | None, others: ValidationInfo
    ) -> EventsConfig | None:
        is_source = others.data.get("source") == "events"
        if is_source and (events is None or others.data.get("items") is None):
            raise ValueError(
                "data.source = 'events' needs data.items and a section [data.events] with `folder`"
            )
        if is_source and others.data.get("interactions") is not None:
            raise ValueError("data.source = 'events' takes no data.interactions; remove it")
        if events is not None and not is_source:
            raise ValueError("[data.events] needs data.source = 'events'")
        return events

    @field_validator("sql")
    @classmethod
    def _queries_are_named(cls, sql: SqlConfig | None, others: ValidationInfo) -> SqlConfig | None:
        is_source = others.data.get("source") == "sql"
        if sql is not None and not is_source:
            raise ValueError("[data.sql] needs data.source = 'sql'")
        if not is_source:
            return sql
        if sql is None:
            raise ValueError("data.source = 'sql' needs a section [data.sql]")
        if others.data.get("interactions") is not None:
            raise ValueError("data.source = 'sql' takes no data.interactions; remove it")
        if (others.data.get("items") is None) == (sql.items is None):
            raise ValueError("data.source = 'sql' needs either data.items or data.sql.items")
        return sql
