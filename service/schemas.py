"""What comes in and what goes out. Answers are documented here and written by `answers.py`."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field

from service.recommender import Source

DEFAULT_K = 20
MAX_IDS = 1000

ItemId = Annotated[str, Field(min_length=1, max_length=256)]
SessionId = Annotated[str, Field(min_length=1, max_length=128)]
SessionIdInPath = Annotated[str, Path(min_length=1, max_length=128)]
K = Annotated[int, Field(ge=1, description="how many items; the upper limit is MAX_K")]
KInQuery = Annotated[int, Query(ge=1, description="how many items; the upper limit is MAX_K")]


class RequestBody(BaseModel):
    """A body: JSON types as they are, no unknown keys."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class RecommendationRequest(RequestBody):
    """What to recommend for: `history`, `session_id`, or both, then `history` is the newer part.

    Ids that the catalog does not have are skipped; those of `history` are counted.
    """

    history: Annotated[list[ItemId], Field(max_length=MAX_IDS)] | None = Field(
        default=None, description="item ids, oldest first"
    )
    session_id: SessionId | None = None
    k: K = DEFAULT_K
    exclude: Annotated[list[ItemId], Field(max_length=MAX_IDS)] = Field(
        default=[], description="item ids that must not be answered"
    )


class NewEvent(RequestBody):
    """An interaction. One that is sent again with its `event_id` is stored once."""

    item_id: ItemId = Field(description="may be an item that the catalog does not have yet")
    event_id: Annotated[str, Field(pattern=r"^[!-~]{1,128}$")] | None = None


class RecommendedItem(BaseModel):
    """An item of an answer; of scores only the order matters."""

    item_id: str
    title: str
    score: float


class RecommendationAnswer(BaseModel):
    """The next items, best first."""

    model_version: str
    source: Source
    degraded: bool = Field(description="the answer was made without the store or the student")
    unknown_items: int = Field(description="item ids of the history that the catalog has not")
    items: Sequence[RecommendedItem]


class EventAnswer(BaseModel):
    """What became of an event."""

    model_version: str
    stored: bool = Field(description="false: the store is lost; send it again with its event_id")
    degraded: bool


class EventRecommendationAnswer(EventAnswer, RecommendationAnswer):
    """What became of an event, and the next items after it."""


class SessionAnswer(BaseModel):
    """What is stored of a session."""

    session_id: str
    history: Sequence[str] = Field(description="item ids, oldest first")
    degraded: bool = Field(description="the store is lost: `history` is not known")


class ItemAnswer(BaseModel):
    """An item; `popularity` counts training interactions."""

    item_id: str
    title: str
    popularity: int
    attributes: Mapping[str, Sequence[str]]


class ItemsAnswer(BaseModel):
    """Items found, most popular first."""

    items: Sequence[ItemAnswer]


class ModelAnswer(BaseModel):
    """The bundle that is served."""

    schema_version: int
    model_version: str
    student: str
    max_history_length: int
    num_items: int
    metrics: Mapping[str, Any]
    parity_error: float
    provenance: Mapping[str, Any]


class HealthAnswer(BaseModel):
    """The process runs."""

    status: str


class ReadinessAnswer(BaseModel):
    """The service answers; `degraded` if it does so without the history store."""

    status: str
    degraded: bool
    history_store: str
    model_version: str
