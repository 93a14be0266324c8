"""Schemas of requests with events, and of the answers to them."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from export.contract.log.events import MAX_VALUE
from service.admission.costs import MAX_EVENTS
from service.api.schemas.bodies import (
    ItemId,
    Name,
    RecommendationAnswer,
    RequestBody,
    SessionId,
)
from service.settings import MAX_USER_ID_LENGTH
from service.stores.history.protocol import NotStored


class NewEvent(RequestBody):
    """An interaction of a session with an item.

    An event that is sent again with the same `event_id` within EVENT_ID_WINDOW_SECONDS is stored
    once.
    """

    item_id: ItemId = Field(description="may be an item that the catalog does not have yet")
    event_id: Annotated[str, Field(pattern=r"^[!-~]{1,128}$")] | None = Field(
        default=None, description="the client's id of the event, which makes it safe to send again"
    )
    event_type: Name | None = Field(
        default=None, description="one of EVENT_TYPES; null: the first of them"
    )
    timestamp: Annotated[int, Field(ge=0, le=2**53)] | None = Field(
        default=None,
        description="time of the event in ms since 1970, at most EVENT_MAX_AGE_SECONDS ago; null: "
        "now",
    )
    value: Annotated[float, Field(ge=-MAX_VALUE, le=MAX_VALUE, allow_inf_nan=False)] | None = Field(
        default=None,
        description="number that live figures sum up, such as the price of a purchase; from -1e12 "
        "to 1e12",
    )
    recommendation_id: Annotated[str, Field(pattern=r"^[0-9a-f]{48}$")] | None = Field(
        default=None, description="id of the answer that showed the item"
    )
    user_id: Annotated[str, Field(min_length=1, max_length=MAX_USER_ID_LENGTH)] | None = Field(
        default=None,
        description="the client's id of the user, whose sessions are joined in training and erased "
        "together; only its HMAC is stored",
    )
    consent: bool = Field(
        default=True,
        description="whether the event may be stored; if false, the session is neither stored nor "
        "read, and the history for recommendations is this item only",
    )


class SessionEvent(NewEvent):
    """An interaction of a session with an item, in a request with events of many sessions."""

    session_id: SessionId


class NewEvents(RequestBody):
    """Events of many sessions; the events of one session are stored in their order."""

    events: Annotated[list[SessionEvent], Field(min_length=1, max_length=MAX_EVENTS)]


class EventOutcome(BaseModel):
    """The outcome of one event in a request with many events."""

    stored: bool = Field(description="whether the event is stored, as in EventAnswer")
    reason: Literal["invalid", "no_consent", NotStored] | None = Field(
        description="why the event is not stored, as in EventAnswer; invalid: see `detail`"
    )
    logged: bool | None = Field(
        description="whether the event is in the event log, as in EventAnswer"
    )
    detail: str | None = Field(description="what is wrong with the event; null: nothing")


class EventsAnswer(BaseModel):
    """The outcome of each sent event, in the order of the request."""

    events: Sequence[EventOutcome]


class EventAnswer(BaseModel):
    """The outcome of one sent event."""

    model_version: str
    variant: str
    stored: bool = Field(
        description="whether the event is stored; false without consent, and if the history store "
        "did not store it: then, unless it is journalled, send the event again with the same "
        "`event_id`"
    )
    reason: Literal["no_consent", NotStored] | None = Field(
        description="why the event is not stored; null: it is stored. not_in_history: "
        "its type is not in HISTORY_EVENT_TYPES; store_unavailable: the "
        "history store did not answer; store_refused: it answers, and is full or read-only; "
        "journalled: likewise, and the event is on the service's disk and will be stored; "
        "journal_full, journal_failed: it could not be written there either"
    )
    logged: bool | None = Field(
        description="whether the event is in the event log, for training; null: EVENT_LOG is off; "
        "with `reason` journalled: not yet"
    )
    degraded: bool = Field(
        description="whether the history store or, with `k`, the student did not answer"
    )


class EventRecommendationAnswer(EventAnswer, RecommendationAnswer):
    """The outcome of one event sent with `k`, and recommendations of the next `k` items."""
