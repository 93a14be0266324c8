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


class ExperimentsAnswer(BaseModel):
    """Live figures of all variants, and comparisons with the control."""

    begin: int | None = Field(
        description="begin of the counted period in ms since 1970; null: everything is counted"
    )
    made_at: int = Field(description="time in ms since 1970 at which the log was counted")
    figures: Sequence[LiveFiguresAnswer]
    comparisons: Sequence[ComparisonOfVariantsAnswer]
