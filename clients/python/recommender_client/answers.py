"""Answers of the service, as typed dictionaries with the names and fields of its OpenAPI schema.

Fields that many answers share:

- `model_version`: version of the bundle that answers.
- `variant`: variant of the experiment; a session always has the same one.
- `source`: what made the ranking: the student, a fallback, or the teacher.
- `degraded`: the history store or the model that should answer failed, and a fallback answered.
- `unknown_items`: how many ids of the history the catalog does not have.
"""

from typing import Any, Literal, NotRequired, TypedDict

Source = Literal["student", "similar", "popular", "catalog", "teacher"]


class FieldProblem(TypedDict):
    """An invalid field of a request, such as `history[3]`, and the reason."""

    field: str
    message: str


class Problem(TypedDict):
    """The body of a refusal (RFC 9457).

    Attributes:
        title: name of the HTTP status.
        detail: the reason.
        errors: the invalid fields, if the status is 422.
    """

    type: NotRequired[str]
    title: str
    status: int
    detail: str
    errors: NotRequired[list[FieldProblem]]


class Reason(TypedDict):
    """An item of the history, and how much the score drops without it."""

    item_id: str
    title: str
    score_drop: float


class RecommendedItem(TypedDict):
    """A recommended item.

    Attributes:
        score: any real number; only the order of scores has a meaning.
        reasons: the items of the history that led to it, strongest first; only with `explain`.
    """

    item_id: str
    title: str
    score: float
    reasons: NotRequired[list[Reason]]


class RecommendationAnswer(TypedDict):
    """The recommended items, best first."""

    model_version: str
    variant: str
    source: Source
    degraded: bool
    unknown_items: int
    items: list[RecommendedItem]


class BatchAnswer(TypedDict):
    """One answer for each query of the batch, in the same order."""

    answers: list[RecommendationAnswer]


class TeacherRecommendationAnswer(RecommendationAnswer):
    """The teacher's items, possibly fewer than `k`; the student's if the teacher cannot answer.

    Attributes:
        cached: the teacher's answer comes from the service's cache.
        generated_text: text that a generative teacher wrote; None for other teachers.
    """

    cached: bool
    generated_text: str | None


class ComparedAnswer(TypedDict):
    """The student's side of a comparison; `latency_ms` is the time inside the service."""

    model_version: str
    source: Source
    latency_ms: float
    items: list[RecommendedItem]


class ComparedTeacherAnswer(ComparedAnswer):
    """The teacher's side of a comparison; fields as in `TeacherRecommendationAnswer`."""

    cached: bool
    generated_text: str | None


class ComparisonAnswer(TypedDict):
    """Student and teacher on one history.

    Attributes:
        teacher: None if the teacher could not answer; so are `overlap` and `rank_correlation`.
        overlap: number of items that both recommend, divided by the length of the longer list.
        rank_correlation: Kendall's tau over the union of both lists, from -1 to 1.
    """

    variant: str
    degraded: bool
    unknown_items: int
    student: ComparedAnswer
    teacher: ComparedTeacherAnswer | None
    overlap: float | None
    rank_correlation: float | None


class EventAnswer(TypedDict):
    """The result of appending an event.

    Attributes:
        stored: False without consent. Else the store is lost: send the event again, with the same
            `event_id`.
    """

    model_version: str
    variant: str
    stored: bool
    degraded: bool


class EventRecommendationAnswer(RecommendationAnswer):
    """The result of appending an event, and the next items; `stored` as in `EventAnswer`."""

    stored: bool


class SessionAnswer(TypedDict):
    """The stored history of a session: item ids, oldest first."""

    session_id: str
    history: list[str]
    degraded: bool


class ItemAnswer(TypedDict):
    """An item of the catalog; `popularity` is its number of training interactions."""

    item_id: str
    title: str
    popularity: int
    attributes: dict[str, list[str]]


class ItemsAnswer(TypedDict):
    """The items that match a search, the most popular first."""

    items: list[ItemAnswer]


class AddedItemAnswer(ItemAnswer):
    """An added item, and the names of the variants that can recommend it."""

    variants: list[str]


class SimilarItemsAnswer(TypedDict):
    """The nearest items, nearest first; `score` is the cosine similarity."""

    model_version: str
    items: list[RecommendedItem]


class ExamplesAnswer(TypedDict):
    """Real histories to try the service with; the items of each are oldest first."""

    histories: list[list[ItemAnswer]]


class VariantAnswer(TypedDict):
    """A variant of the experiment, and its bundle.

    Attributes:
        weight: relative share of the sessions that have this variant.
        bundle: folder name of the served bundle.
        previous_bundle: the bundle that a rollback would serve, if there is one.
        refused: why the newest bundle is not served, if it was refused.
    """

    variant: str
    weight: float
    model_version: str
    bundle: str
    previous_bundle: str | None
    refused: str | None


class FigureAnswer(TypedDict):
    """One metric of the student, a baseline or the teacher, with its 95 % interval."""

    row: str
    student: str
    teacher_free: bool
    protocol: str
    split: str
    targets: str
    metric: str
    mean: float
    low: float
    high: float
    seeds: int


class ModelAnswer(TypedDict):
    """The manifest of the served bundle (the control's, in an experiment), and all variants."""

    schema_version: int
    model_version: str
    origin: str
    student: str
    max_history_length: int
    num_items: int
    protocol: str
    trained_until: int | None
    metrics: dict[str, Any]
    figures: list[FigureAnswer]
    verdict: str
    parity_error: float
    scorer: dict[str, Any] | None
    provenance: dict[str, Any]
    variants: list[VariantAnswer]


class HealthAnswer(TypedDict):
    """The process runs; `status` is always the same."""

    status: str


class ReadinessAnswer(TypedDict):
    """The service accepts requests; `degraded` is True if it has lost its history store.

    Attributes:
        history_store: `reachable` or `lost`.
        teacher: `configured` until the teacher has answered this worker, then `connected`; `lost`
            while it fails.
    """

    status: str
    degraded: bool
    history_store: str
    teacher: Literal["none", "configured", "connected", "lost"]
    model_version: str
