"""Schemas of requests and answers; schemas of answers only document what `responses.py` encodes."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from service.ranking.rules.types import Rules, Shortage
from service.ranking.types import Source
from service.setting_parts.variants import DEFAULT_VARIANT
from service.settings import DEFAULT_K, MAX_ITEM_ID_LENGTH, MAX_SESSION_ID_LENGTH

MAX_IDS = 1000
"""Maximum number of ids in a request's history, and in its exclusions."""

MAX_ATTRIBUTES = 16
"""Maximum number of attributes of an item, and of those that a filter names."""

UNKNOWN_ITEMS = "number of ids, stored and in the request, that the catalog does not have"
"""Description of the field `unknown_items` of answers."""

ItemId = Annotated[str, Field(min_length=1, max_length=MAX_ITEM_ID_LENGTH)]
# The first wrong id ends the check: a megabyte of wrong ids would cost a second of the event loop.
Ids = Annotated[list[ItemId], Field(max_length=MAX_IDS, fail_fast=True)]
SessionId = Annotated[str, Field(min_length=1, max_length=MAX_SESSION_ID_LENGTH)]
K = Annotated[int, Field(ge=1, description="number of items to recommend")]
KInQuery = Annotated[int, Query(ge=1, description="number of items to return")]

Name = Annotated[str, Field(min_length=1, max_length=64)]
Value = Annotated[str, Field(max_length=256)]
Attributes = Annotated[
    dict[Name, Annotated[list[Value], Field(max_length=64, fail_fast=True)]],
    Field(max_length=MAX_ATTRIBUTES),
]
ShortageField = Annotated[
    Shortage | None,
    Field(
        description="only with fewer than `k` items: why. no_more_items: candidates, filters, "
        "exclusions and seen items leave no more; max_per: the others have values at their limit"
    ),
]
LeftOutPins = Annotated[
    Sequence[str],
    Field(description="only if there are any: the pinned items that may not be recommended"),
]


class RequestBody(BaseModel):
    """Base class of request bodies: wrong types are not converted, and unknown keys are errors."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class RecommendationQuery(RequestBody):
    """A query for recommendations, by `history`, by `session_id` or by both.

    With both, the stored history of the session comes first, then `history`. Ids that the catalog
    does not have are skipped; `unknown_items` in the answer counts those of both histories.
    """

    history: Ids | None = Field(default=None, description="item ids, oldest first")
    session_id: SessionId | None = Field(
        default=None, description="session whose stored history is read"
    )
    k: K = DEFAULT_K
    exclude: Ids = Field(default=[], description="item ids that must not be recommended")
    allow: Attributes = Field(
        default={},
        description="values by attribute: for each attribute named here, a recommended item has "
        "at least one of the values",
        examples=[{"genres": ["Comedy", "Drama"]}],
    )
    deny: Attributes = Field(
        default={}, description="values by attribute: a recommended item has none of them"
    )
    mask_seen: bool = Field(
        default=True,
        description="whether items of the history are left out; they are recommended all the same "
        "if no other item is allowed",
    )
    consent: bool = Field(
        default=True,
        description="whether the answer may be logged, for training and comparisons; the history "
        "of `session_id` is read either way",
    )

    def rules(self) -> Rules | None:
        """Returns None, since this schema has no rules; `RuleFields` overrides this method."""
        return None


class Activation(RequestBody):
    """A request to serve another bundle."""

    bundle: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")] = Field(
        description="name of the bundle's folder, which must be in the folder of the link "
        "BUNDLE_PATH"
    )
    variant: Name = DEFAULT_VARIANT


class Rollback(RequestBody):
    """A request to serve the previous bundle of a variant again."""

    variant: Name = DEFAULT_VARIANT


class Reason(BaseModel):
    """An item of the history that led to a recommendation."""

    item_id: str
    title: str
    score_drop: float = Field(
        description="score of the recommended item minus its score without this item in the history"
    )


class RecommendedItem(BaseModel):
    """A recommended item. Scores order the items of one answer and have no other meaning."""

    item_id: str
    title: str
    score: float
    reasons: Sequence[Reason] = Field(
        default=(),
        description="with `explain`: the items of the history that led to this item, largest score "
        "drop first; may be empty",
    )


class RecommendationAnswer(BaseModel):
    """A list of recommended items, and how it was made."""

    recommendation_id: str = Field(
        description="id of the answer, 48 hexadecimal digits that sort by time; name it in events "
        "that it led to"
    )
    model_version: str
    variant: str = Field(description="variant that answered; a session always has the same one")
    source: Source = Field(description="ranker that made the list")
    degraded: bool = Field(description="whether the history store or the student did not answer")
    unknown_items: int = Field(description=UNKNOWN_ITEMS)
    items: Sequence[RecommendedItem] = Field(
        description="best first, but for pinned items and diversity"
    )
    shortage: ShortageField = None
    left_out_pins: LeftOutPins = ()


class BatchAnswer(BaseModel):
    """One answer per query, in the order of the queries."""

    answers: Sequence[RecommendationAnswer]


class SessionAnswer(BaseModel):
    """The stored history of a session."""

    session_id: str
    history: Sequence[str] = Field(description="item ids, oldest first")
    degraded: bool = Field(
        description="whether the history store did not answer; `history` is then empty"
    )


class ItemAnswer(BaseModel):
    """An item of the catalog."""

    item_id: str
    title: str
    popularity: int = Field(
        description="number of interactions in the training data; 0 for an added item"
    )
    attributes: Mapping[str, Sequence[str]]


class ItemsAnswer(BaseModel):
    """The items that a search found, most popular first."""

    items: Sequence[ItemAnswer]


class SimilarItemsAnswer(BaseModel):
    """The most similar items, most similar first; each score is the cosine of two item vectors."""

    model_version: str
    items: Sequence[RecommendedItem]
    shortage: ShortageField = None
    left_out_pins: LeftOutPins = ()


class VariantAnswer(BaseModel):
    """A variant and the bundle that it serves."""

    variant: str
    weight: float = Field(description="share of the sessions, relative to the other weights")
    model_version: str
    bundle: str = Field(description="name of the bundle's folder")
    previous_bundle: str | None = Field(
        description="the bundle that a rollback would serve; null: there is none"
    )
    refused: str | None = Field(
        description="why the bundle at the variant's path was refused, so that an older one is "
        "served; null: the bundle at the path is served"
    )


class FigureAnswer(BaseModel):
    """The value of one metric for one ranker on one split, with its 95 % interval."""

    row: str = Field(description="name of the ranker, as in the result tables")
    student: str = Field(
        description="architecture of the student; empty for a baseline and for the teacher"
    )
    teacher_free: bool = Field(description="whether the ranker was made without an LLM teacher")
    protocol: str = Field(
        description="interactions that the ranker was trained on, see `protocol` of the model"
    )
    split: str = Field(description="examples that it was measured on: validation or test")
    targets: str = Field(
        description="the examples that are counted, chosen by their next item; all: all of them"
    )
    metric: str = Field(description="name of the metric, such as NDCG@20")
    mean: float = Field(description="mean over the examples and over the seeds")
    low: float = Field(description="lower end of the interval")
    high: float = Field(description="upper end of the interval")
    seeds: int = Field(description="number of training runs with different seeds")


class ModelAnswer(BaseModel):
    """The bundle that the control serves, and all variants."""

    schema_version: int = Field(description="version of the bundle's format")
    model_version: str = Field(description="hash of the bundle's content")
    origin: str = Field(description="how the model was made, such as distilled")
    student: str = Field(description="architecture of the student")
    max_history_length: int = Field(description="number of newest items that the student reads")
    num_items: int = Field(description="number of items of the bundle, without added items")
    protocol: str = Field(
        description="interactions that the student was trained on: validation: all but the "
        "held-out ones; refit: all"
    )
    trained_until: int | None = Field(
        description="newest timestamp in the training data, in ms since 1970; null: not known"
    )
    metrics: Mapping[str, Any] = Field(description="metrics of the student by split")
    figures: Sequence[FigureAnswer] = Field(
        description="metrics of the student, the baselines and the teacher, with intervals; empty "
        "in bundles of schema 3"
    )
    verdict: str = Field(
        description="sentence that says which baselines the student beats; may be empty"
    )
    parity_error: float = Field(
        description="largest difference between a score of the exported and of the trained student"
    )
    scorer: Mapping[str, Any] | None = Field(
        description="how the graph finds the best items without scoring all of them exactly; null: "
        "it scores all items"
    )
    provenance: Mapping[str, Any] = Field(
        description="commit, dataset and settings that the student was made from"
    )
    variants: Sequence[VariantAnswer]


class HealthAnswer(BaseModel):
    """The state of the process; `status` is always `ok`."""

    status: str


class ReadinessAnswer(BaseModel):
    """The state of a worker that is ready."""

    status: str = Field(description="always `ready`; a worker that drains answers 503")
    degraded: bool = Field(
        description="whether the history store does not answer, or does not store events"
    )
    history_store: str = Field(description="reachable or lost")
    history_writes: Literal["working", "failing"] = Field(
        description="failing: the last event could not be stored"
    )
    last_write_at: int | None = Field(
        description="Unix time in ms at which this worker last stored an event; null: not yet"
    )
    teacher: Literal["none", "configured", "connected", "lost"] = Field(
        description="none: TEACHER_URL is unset; configured: the teacher has not answered this "
        "worker yet; connected: it has answered; lost: it failed repeatedly, and the student "
        "answers its routes until it is tried again"
    )
    model_version: str = Field(description="version of the control's bundle")
