"""What comes in and what goes out. Answers are documented here and written by `answers.py`."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from service.ranking.recommender import Source
from service.settings import DEFAULT_K
from service.teacher.client import EmbeddingNumber
from service.variant_setting import DEFAULT_VARIANT

MAX_IDS = 1000
MAX_BATCH = 64

ItemId = Annotated[str, Field(min_length=1, max_length=256)]
SessionId = Annotated[str, Field(min_length=1, max_length=128)]
K = Annotated[int, Field(ge=1, description="how many items")]
KInQuery = Annotated[int, Query(ge=1, description="how many items")]


Name = Annotated[str, Field(min_length=1, max_length=64)]
Value = Annotated[str, Field(max_length=256)]
Attributes = Annotated[
    dict[Name, Annotated[list[Value], Field(max_length=64)]], Field(max_length=16)
]


class RequestBody(BaseModel):
    """A body: JSON types as they are, no unknown keys."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class RecommendationQuery(RequestBody):
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
    allow: Attributes = Field(
        default={},
        description="only items with any of these values, for each attribute named",
        examples=[{"genres": ["Comedy", "Drama"]}],
    )
    deny: Attributes = Field(default={}, description="no item with any of these values")
    mask_seen: bool = Field(
        default=True,
        description="leave out what the history holds, unless nothing else may be answered",
    )


class RecommendationRequest(RecommendationQuery):
    """One request."""

    explain: bool = Field(
        default=False, description="tell which items of the history drove each answer"
    )


class BatchRequest(RequestBody):
    """Requests that are answered together."""

    requests: Annotated[list[RecommendationQuery], Field(min_length=1, max_length=MAX_BATCH)]


class NewEvent(RequestBody):
    """An interaction.

    One that is sent again with its `event_id` is stored once, as long as it is among the newest
    MAX_SESSION_LENGTH events that the session keeps.
    """

    item_id: ItemId = Field(description="may be an item that the catalog does not have yet")
    event_id: Annotated[str, Field(pattern=r"^[!-~]{1,128}$")] | None = None
    consent: bool = Field(
        default=True, description="false: nothing is stored or read, the item is the history"
    )


class NewItem(RequestBody):
    """An item that came after the export."""

    item_id: ItemId
    title: Annotated[str, Field(min_length=1, max_length=1024)]
    embedding: (
        Annotated[
            list[EmbeddingNumber],
            Field(min_length=1, max_length=16_384),
        ]
        | None
    ) = Field(
        default=None,
        description="the LLM's embedding, as in the knowledge that the student learnt from; "
        "without it, the connected teacher embeds the title",
    )
    attributes: Attributes = {}


class Activation(RequestBody):
    """Which bundle is to be served."""

    bundle: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")] = Field(
        description="the name of its folder, beside the link that BUNDLE_PATH is"
    )
    variant: Name = DEFAULT_VARIANT


class Rollback(RequestBody):
    """Which variant goes back."""

    variant: Name = DEFAULT_VARIANT


class Reason(BaseModel):
    """An item of the history, and how far the score falls if it is left out."""

    item_id: str
    title: str
    score_drop: float


class RecommendedItem(BaseModel):
    """An item of an answer; of scores only the order matters."""

    item_id: str
    title: str
    score: float
    reasons: Sequence[Reason] = Field(
        default=(), description="with `explain`: what drove it, strongest first"
    )


class RecommendationAnswer(BaseModel):
    """The next items, best first."""

    model_version: str
    variant: str = Field(description="of the experiment; always the same for a session")
    source: Source
    degraded: bool = Field(description="the answer was made without the store or the student")
    unknown_items: int = Field(description="item ids of the history that the catalog has not")
    items: Sequence[RecommendedItem]


class BatchAnswer(BaseModel):
    """An answer for each request, in their order."""

    answers: Sequence[RecommendationAnswer]


class EventAnswer(BaseModel):
    """What became of an event."""

    model_version: str
    variant: str
    stored: bool = Field(
        description="false without consent; else the store is lost: send it again with its event_id"
    )
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


class AddedItemAnswer(ItemAnswer):
    """An added item, and which variants recommend it."""

    variants: Sequence[str]


class SimilarItemsAnswer(BaseModel):
    """The nearest items, nearest first; the score is a cosine."""

    model_version: str
    items: Sequence[RecommendedItem]


class VariantAnswer(BaseModel):
    """A variant and the bundle that answers for it."""

    variant: str
    weight: float
    model_version: str
    bundle: str = Field(description="the name of its folder")
    previous_bundle: str | None = Field(description="what a rollback would bring back")
    refused: str | None = Field(
        description="why what stands at the variant's path is not served; null: it is"
    )


class FigureAnswer(BaseModel):
    """One metric of the student, a baseline or the teacher, with its 95 % interval."""

    row: str = Field(description="the ranker's name, as in the result tables")
    student: str = Field(description="the architecture; empty for a baseline and the teacher")
    teacher_free: bool = Field(description="whether no LLM teacher had a part in it")
    protocol: str = Field(description="as in the answer that the figure belongs to")
    split: str = Field(description="validation or test")
    targets: str = Field(description="the examples that count: all, or a part by the next item")
    metric: str
    mean: float
    low: float
    high: float
    seeds: int = Field(description="number of runs")


class ModelAnswer(BaseModel):
    """The bundle that is served; that of the control, if there are several variants."""

    schema_version: int
    model_version: str
    origin: str = Field(description="how the model was made, such as distilled")
    student: str
    max_history_length: int
    num_items: int
    protocol: str = Field(
        description="validation: trained without the held-out interactions; refit: on all of them"
    )
    trained_until: int | None = Field(
        description="newest timestamp trained on, in ms since 1970; null: not known"
    )
    metrics: Mapping[str, Any]
    figures: Sequence[FigureAnswer] = Field(
        description="the student, the baselines and the teacher; empty in bundles of schema 3"
    )
    verdict: str = Field(description="which baselines the student beats; may be empty")
    parity_error: float
    scorer: Mapping[str, Any] | None = Field(
        description="how scores are computed where not all items are scored exactly"
    )
    provenance: Mapping[str, Any]
    variants: Sequence[VariantAnswer]


class HealthAnswer(BaseModel):
    """The process runs."""

    status: str


class ReadinessAnswer(BaseModel):
    """The service answers; `degraded` if it does so without the history store."""

    status: str
    degraded: bool
    history_store: str
    teacher: Literal["none", "configured", "connected", "lost"] = Field(
        description="configured: it has not answered this worker yet; connected: it has; "
        "lost: it fails and is left alone for a while; its routes degrade"
    )
    model_version: str
