"""Schemas of the answer with the live figures of variants."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, Field


class IntervalAnswer(BaseModel):
    """An estimate and its anytime-valid 95 % interval; null: no data, or no bound."""

    estimate: float | None
    low: float | None
    high: float | None


class LiveFiguresAnswer(BaseModel):
    """Live figures of the lists from one variant, model version and source."""

    variant: str
    model_version: str
    source: str
    impressions: int = Field(description="number of lists that were shown")
    followed: int = Field(description="number of lists after which their session had an event")
    clicks_by_place: Sequence[int] = Field(
        description="number of clicks by place in the list; later places count with the last"
    )
    click_through: IntervalAnswer = Field(description="share of the lists with a click")
    conversion: IntervalAnswer = Field(description="share of the lists with a purchase")
    value: IntervalAnswer = Field(description="value of the events a list led to, mean over lists")
    next_item_hit: IntervalAnswer = Field(
        description="share of the followed lists that had the item of the session's next event"
    )


class ComparisonOfVariantsAnswer(BaseModel):
    """One metric of a variant minus the same metric of the control."""

    variant: str
    against: str = Field(description="name of the control")
    metric: Literal["click_through", "conversion", "value", "next_item_hit"]
    difference: IntervalAnswer
    ahead: str | None = Field(description="variant that is better; null: it is not shown yet")
    impressions_for_a_tenth: int | None = Field(
        description="about how many lists of each variant would show a difference of a tenth of "
        "the control's rate; null: a difference is already shown, or the number is not known"
    )


class DriftAnswer(BaseModel):
    """Drift of recent events from the training of the model; a share is null without events."""

    model_version: str
    begin: int = Field(description="begin of the recent events in ms since 1970")
    events: int = Field(description="number of recent events")
    unknown_items: float | None = Field(
        description="share of the events on items that the model does not have"
    )
    head: float | None = Field(
        description="share, of the events on items of the model, on its most popular items"
    )
    head_in_training: float = Field(
        description="share of the training interactions on these items: the fewest with half of all"
    )
    busiest_session: float | None = Field(
        description="share of the events of the session with the most events"
    )


class ExperimentsAnswer(BaseModel):
    """Live figures of all variants, comparisons with the control, and drift."""

    begin: int | None = Field(
        description="begin of the counted period in ms since 1970; null: everything is counted"
    )
    made_at: int = Field(description="time in ms since 1970 at which the log was counted")
    figures: Sequence[LiveFiguresAnswer]
    comparisons: Sequence[ComparisonOfVariantsAnswer]
    drift: DriftAnswer | None = Field(
        description="recent events against the training of the model; null: not compared"
    )
