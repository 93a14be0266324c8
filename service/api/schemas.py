"""Schemas of requests and answers. Answers are only documented here; `responses.py` writes them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from service.ranking.recommender import Source
from service.settings import DEFAULT_K, MAX_ITEM_ID_LENGTH, MAX_SESSION_ID_LENGTH
from service.teacher.client import EmbeddingNumber
from service.variant_setting import DEFAULT_VARIANT

MAX_IDS = 1000
MAX_BATCH = 64

ItemId = Annotated[str, Field(min_length=1, max_length=MAX_ITEM_ID_LENGTH)]
SessionId = Annotated[str, Field(min_length=1, max_length=MAX_SESSION_ID_LENGTH)]
K = Annotated[int, Field(ge=1, description="how many items")]
KInQuery = Annotated[int, Query(ge=1, description="how many items")]


Name = Annotated[str, Field(min_length=1, max_length=64)]
Value = Annotated[str, Field(max_length=256)]
Attributes = Annotated[
    dict[Name, Annotated[list[Value], Field(max_length=64)]], Field(max_length=16)
]


class RequestBody(BaseModel):
    """Base of request bodies: values are not converted to other types, unknown keys are refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class RecommendationQuery(RequestBody):
    """A query for recommendations, by `history`, by `session_id` or by both.

    With both, `history` follows the session's own. Ids that the catalog does not have are skipped;
    those of `history` are counted.
    """

    history: Annotated[list[ItemId], Field(max_length=MAX_IDS)] | None = Field(
        default=None, description="item ids, oldest first"
    )
    session_id: SessionId | None = None
    k: K = DEFAULT_K
    exclude: Annotated[list[ItemId], Field(max_length=MAX_IDS)] = Field(
        default=[], description="item ids that must not be recommended"
    )
    allow: Attributes = Field(
        default={},
        description="only items with any of these values, for each attribute named",
        examples=[{"genres": ["Comedy", "Drama"]}],
    )
    deny: Attributes = Field(default={}, description="no item with any of these values")
    mask_seen: bool = Field(
        default=True,
        description="leave out items of the history, unless no other item is allowed",
    )


class RecommendationRequest(RecommendationQuery):
    """A query for recommendations, with or without reasons."""

    explain: bool = Field(
        default=False, description="give the items of the history that led to each recommendation"
    )


class BatchRequest(RequestBody):
    """Queries that are answered in one response."""

    requests: Annotated[list[RecommendationQuery], Field(min_length=1, max_length=MAX_BATCH)]


class NewEvent(RequestBody):
    """An interaction of a session with an item.

    An event that is sent again with the same `event_id` is stored once, as long as it is among the
    newest MAX_SESSION_LENGTH events of the session.
    """

    item_id: ItemId = Field(description="may be an item that the catalog does not have yet")
    event_id: Annotated[str, Field(pattern=r"^[!-~]{1,128}$")] | None = None
    consent: bool = Field(
        default=True, description="false: nothing is stored or read; the item itself is the history"
    )


class NewItem(RequestBody):
    """An item that is not in the bundle."""

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
        description="the LLM's embedding of the item, made as for the items that the student "
        "learnt from; if missing, the connected teacher embeds the title",
    )
    attributes: Attributes = {}


class Activation(RequestBody):
    """The bundle to serve next."""

    bundle: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")] = Field(
        description="name of the bundle's folder, which lies beside the link BUNDLE_PATH"
    )
    variant: Name = DEFAULT_VARIANT


class Rollback(RequestBody):
    """The variant to roll back to its previous bundle."""

    variant: Name = DEFAULT_VARIANT


class Reason(BaseModel):
    """An item of the history, and how far a score falls without it."""

    item_id: str
    title: str
    score_drop: float


class RecommendedItem(BaseModel):
    """A recommended item. Scores order the items of one answer; their values mean nothing else."""

    item_id: str
    title: str
    score: float
    reasons: Sequence[Reason] = Field(
        default=(),
        description="with `explain`: items of the history that led to it, strongest first",
    )


class RecommendationAnswer(BaseModel):
    """Recommended items, best first."""

    model_version: str
    variant: str = Field(description="variant that answered; always the same for a session")
    source: Source
    degraded: bool = Field(
        description="the answer was made without the history store or the student"
    )
    unknown_items: int = Field(
        description="number of ids of the history that the catalog does not have"
    )
    items: Sequence[RecommendedItem]


class BatchAnswer(BaseModel):
    """An answer for each query, in the order of the queries."""

    answers: Sequence[RecommendationAnswer]


class EventAnswer(BaseModel):
    """The result of sending an event."""

    model_version: str
    variant: str
    stored: bool = Field(
        description="false without consent, or if the history store does not answer: "
        "then send the event again with its event_id"
    )
    degraded: bool


class EventRecommendationAnswer(EventAnswer, RecommendationAnswer):
    """The result of sending an event, and recommendations after it."""


class SessionAnswer(BaseModel):
    """The stored history of a session."""

    session_id: str
    history: Sequence[str] = Field(description="item ids, oldest first")
    degraded: bool = Field(description="the history store does not answer: `history` is not known")


class ItemAnswer(BaseModel):
    """An item of the catalog; `popularity` is its number of interactions in the training data."""

    item_id: str
    title: str
    popularity: int
    attributes: Mapping[str, Sequence[str]]


class ItemsAnswer(BaseModel):
    """Found items, most popular first."""

    items: Sequence[ItemAnswer]


class AddedItemAnswer(ItemAnswer):
    """An added item, and the variants that recommend it."""

    variants: Sequence[str]


class SimilarItemsAnswer(BaseModel):
    """The most similar items, most similar first; scores are cosines."""

    model_version: str
    items: Sequence[RecommendedItem]


class VariantAnswer(BaseModel):
    """A variant and the bundle that it serves."""

    variant: str
    weight: float
    model_version: str
    bundle: str = Field(description="name of the bundle's folder")
    previous_bundle: str | None = Field(description="the bundle that a rollback would serve")
    refused: str | None = Field(
        description="why the bundle at the variant's path is not served; null if it is"
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
    """The served bundle; if there are several variants, that of the control."""

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
    """The state of the process."""

    status: str


class ReadinessAnswer(BaseModel):
    """The state of the service; `degraded` if the history store does not answer."""

    status: str
    degraded: bool
    history_store: str
    teacher: Literal["none", "configured", "connected", "lost"] = Field(
        description="none: there is none; configured: it has not answered this worker yet; "
        "connected: it has; lost: it failed, its routes degrade until it is tried again"
    )
    model_version: str
