"""What the service answers; the names and fields are those of its OpenAPI, which a test holds."""

from typing import Any, Literal, NotRequired, TypedDict

Source = Literal["student", "similar", "popular", "catalog", "teacher"]


class FieldProblem(TypedDict):
    """One field that cannot be used, and why."""

    field: str
    message: str


class Problem(TypedDict):
    """Why there is no answer (RFC 9457)."""

    type: NotRequired[str]
    title: str
    status: int
    detail: str
    errors: NotRequired[list[FieldProblem]]


class Reason(TypedDict):
    """An item of the history, and how far the score falls if it is left out."""

    item_id: str
    title: str
    score_drop: float


class RecommendedItem(TypedDict):
    """An item of an answer; of scores only the order matters. `reasons` come with `explain`."""

    item_id: str
    title: str
    score: float
    reasons: NotRequired[list[Reason]]


class RecommendationAnswer(TypedDict):
    """The next items, best first."""

    model_version: str
    variant: str
    source: Source
    degraded: bool
    unknown_items: int
    items: list[RecommendedItem]


class BatchAnswer(TypedDict):
    """An answer for each request, in their order."""

    answers: list[RecommendationAnswer]


class TeacherRecommendationAnswer(RecommendationAnswer):
    """The next items as the teacher sees them, maybe fewer than `k`.

    If it cannot answer, the student's.
    """

    cached: bool
    generated_text: str | None


class ComparedAnswer(TypedDict):
    """One side of a comparison."""

    model_version: str
    source: Source
    latency_ms: float
    items: list[RecommendedItem]


class ComparedTeacherAnswer(ComparedAnswer):
    """The teacher's side."""

    cached: bool
    generated_text: str | None


class ComparisonAnswer(TypedDict):
    """Student and teacher on one history; without a `teacher`, nothing to compare."""

    variant: str
    degraded: bool
    unknown_items: int
    student: ComparedAnswer
    teacher: ComparedTeacherAnswer | None
    overlap: float | None
    rank_correlation: float | None


class EventAnswer(TypedDict):
    """What became of an event; one that is not `stored` is sent again with its `event_id`."""

    model_version: str
    variant: str
    stored: bool
    degraded: bool


class EventRecommendationAnswer(RecommendationAnswer):
    """What became of an event, and the next items after it."""

    stored: bool


class SessionAnswer(TypedDict):
    """What is stored of a session: item ids, oldest first."""

    session_id: str
    history: list[str]
    degraded: bool


class ItemAnswer(TypedDict):
    """An item; `popularity` counts training interactions."""

    item_id: str
    title: str
    popularity: int
    attributes: dict[str, list[str]]


class ItemsAnswer(TypedDict):
    """Items found, most popular first."""

    items: list[ItemAnswer]


class AddedItemAnswer(ItemAnswer):
    """An added item, and which variants recommend it."""

    variants: list[str]


class SimilarItemsAnswer(TypedDict):
    """The nearest items, nearest first; the score is a cosine."""

    model_version: str
    items: list[RecommendedItem]


class ExamplesAnswer(TypedDict):
    """Histories to try the service with, items oldest first."""

    histories: list[list[ItemAnswer]]


class VariantAnswer(TypedDict):
    """A variant and the bundle that answers for it; a rollback brings back `previous_bundle`."""

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
    """The bundle that is served, and the variants."""

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
    """The process runs."""

    status: str


class ReadinessAnswer(TypedDict):
    """The service answers; `degraded` if it does so without the history store."""

    status: str
    degraded: bool
    history_store: str
    teacher: Literal["none", "configured", "connected", "lost"]
    model_version: str
