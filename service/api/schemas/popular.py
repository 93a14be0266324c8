"""Schemas of requests for popular and trending items, and of the answer to them."""

from collections.abc import Sequence

from pydantic import BaseModel, Field

from service.api.schemas.bodies import (
    LeftOutPins,
    Name,
    RecommendedItem,
    ShortageField,
)
from service.api.schemas.queries import SelectionRequest
from service.popularity.growth import Order
from service.stores.counts.windows import WindowName

WINDOW = (
    "time until now in which events are counted; null: the interactions in the training data are "
    "ordered"
)
"""Description of the field `window` of requests."""

ORDER = "popular: most events first; trending: largest growth first, which needs a window"
"""Description of the field `order` of requests."""

EVENT_TYPE = "the only type of EVENT_TYPES that counts; null: all of HISTORY_EVENT_TYPES"
"""Description of the field `event_type` of requests."""


class PopularItemsRequest(SelectionRequest):
    """A query for popular or trending items."""

    window: WindowName | None = Field(default=None, description=WINDOW)
    order: Order = Field(default="popular", description=ORDER)
    event_type: Name | None = Field(default=None, description=EVENT_TYPE)


class PopularItem(RecommendedItem):
    """A popular or trending item.

    Its score, without boosts, is the logarithm of one plus its events, or of its growth.
    """

    events: int | None = Field(
        description="its events in the window; 0: it is in the list because of its interactions in "
        "the training data, or pinned; null: without `window`"
    )
    events_before: int | None = Field(
        description="its events in the window before this one; null: without `window`"
    )


class PopularItemsAnswer(BaseModel):
    """The most popular or trending items, best first but for pinned items and diversity."""

    model_version: str
    degraded: bool = Field(
        description="whether older counts, or none, are used, because they cannot be read now or "
        "there is too much heavy work"
    )
    since: int | None = Field(
        description="time in ms since 1970 at which the window begins; null: without `window`"
    )
    events: int | None = Field(
        description="events of all items in the window; null: without `window`"
    )
    events_before: int | None = Field(
        description="events of all items in the window before; null: without `window`"
    )
    items: Sequence[PopularItem]
    shortage: ShortageField = None
    left_out_pins: LeftOutPins = ()
