"""Answers of the service, as typed dictionaries with the names and fields of its OpenAPI schema.

Fields that many answers share:

- `recommendation_id`: id of the answer; name it in the events that the answer led to.
- `model_version`: version of the bundle that answered.
- `variant`: name of the variant that answered; a session always has the same one.
- `source`: origin of the ranking: the student, a fallback (items similar to the last one, popular
  items, the order of the catalog), or the teacher.
- `degraded`: whether the history store, or the model that should answer, failed; then the answer
  comes from what was left.
- `unknown_items`: number of ids in the history that are not in the catalog.
- `shortage`: why there are fewer than `k` items; only if there are fewer. `no_more_items`:
  candidates, filters, exclusions and seen items leave no more; `min_score`: the others score less;
  `max_per`: each of the others has a value whose limit is reached.
- `left_out_pins`: the pinned items that may not be recommended; only if there are any.
"""

from typing import Literal, NotRequired, TypedDict

from recommender_client.item_answers import AddedItemAnswer as AddedItemAnswer
from recommender_client.item_answers import ChangedItemsAnswer as ChangedItemsAnswer
from recommender_client.item_answers import FailedChange as FailedChange
from recommender_client.item_answers import ItemAnswer as ItemAnswer
from recommender_client.item_answers import ItemEditAnswer as ItemEditAnswer
from recommender_client.item_answers import ItemsAnswer as ItemsAnswer
from recommender_client.service_answers import (
    ComparisonOfVariantsAnswer as ComparisonOfVariantsAnswer,
)
from recommender_client.service_answers import DriftAnswer as DriftAnswer
from recommender_client.service_answers import ExperimentsAnswer as ExperimentsAnswer
from recommender_client.service_answers import FigureAnswer as FigureAnswer
from recommender_client.service_answers import HealthAnswer as HealthAnswer
from recommender_client.service_answers import IntervalAnswer as IntervalAnswer
from recommender_client.service_answers import LiveFiguresAnswer as LiveFiguresAnswer
from recommender_client.service_answers import ModelAnswer as ModelAnswer
from recommender_client.service_answers import OperationsAnswer as OperationsAnswer
from recommender_client.service_answers import ReadinessAnswer as ReadinessAnswer
from recommender_client.service_answers import SampleAnswer as SampleAnswer
from recommender_client.service_answers import VariantAnswer as VariantAnswer

Source = Literal["student", "similar", "popular", "catalog", "teacher"]
Shortage = Literal["no_more_items", "min_score", "max_per"]


class FieldProblem(TypedDict):
    """An invalid field of a request, such as `history[3]`, and what is wrong with it."""

    field: str
    message: str


class Problem(TypedDict):
    """Body of the response to a refused request (RFC 9457).

    Attributes:
        type: URI of the kind of problem, if it has one.
        title: name of the HTTP status.
        status: HTTP status.
        detail: reason of the refusal.
        errors: invalid fields of the request; only with status 422.
    """

    type: NotRequired[str]
    title: str
    status: int
    detail: str
    errors: NotRequired[list[FieldProblem]]


class Reason(TypedDict):
    """An item of the history that is a reason for a recommendation.

    Attributes:
        score_drop: by how much the recommended item's score drops without this item.
    """

    item_id: str
    title: str
    score_drop: float


class RecommendedItem(TypedDict):
    """A recommended item.

    Attributes:
        score: a real number; only the order of scores has a meaning.
        reasons: items of the history that this item is recommended for, strongest first; only if
            the request has `explain`.
    """

    item_id: str
    title: str
    score: float
    reasons: NotRequired[list[Reason]]


class RecommendationAnswer(TypedDict):
    """Recommended items, best first but for pinned items and diversity."""

    recommendation_id: str
    model_version: str
    variant: str
    source: Source
    degraded: bool
    unknown_items: int
    items: list[RecommendedItem]
    shortage: NotRequired[Shortage | None]
    left_out_pins: NotRequired[list[str]]


class BatchAnswer(TypedDict):
    """Answers to a batch: one for each query, in the order of the queries."""

    answers: list[RecommendationAnswer]


class TeacherRecommendationAnswer(RecommendationAnswer):
    """Items that the teacher recommends, possibly fewer than `k`.

    If the teacher cannot answer, the items are the student's, and `degraded` is True.

    Attributes:
        cached: whether the teacher's answer comes from the service's cache.
        generated_text: title that a generative teacher wrote; None for other kinds of teachers.
    """

    cached: bool
    generated_text: str | None


class ComparedAnswer(TypedDict):
    """The student's items in a comparison.

    Attributes:
        latency_ms: time to compute the items, in milliseconds, measured in the service.
    """

    model_version: str
    source: Source
    latency_ms: float
    items: list[RecommendedItem]


class ComparedTeacherAnswer(ComparedAnswer):
    """The teacher's items in a comparison; fields as in `TeacherRecommendationAnswer`."""

    cached: bool
    generated_text: str | None


class ComparisonAnswer(TypedDict):
    """Recommendations of student and teacher for the same history.

    Attributes:
        teacher: the teacher's items; None if it could not answer. Then `overlap` and
            `rank_correlation` are None, too.
        overlap: number of items that both recommend, over the length of the longer list; 0 to 1.
        rank_correlation: Kendall's tau over the union of both lists; -1 to 1.
    """

    variant: str
    degraded: bool
    unknown_items: int
    student: ComparedAnswer
    teacher: ComparedTeacherAnswer | None
    overlap: float | None
    rank_correlation: float | None


NotStored = Literal[
    "no_consent",
    "not_in_history",
    "store_unavailable",
    "store_refused",
    "journalled",
    "journal_full",
    "journal_failed",
]
"""Why an event is not stored, see `EventAnswer`."""


class EventAnswer(TypedDict):
    """The result of appending an event.

    Attributes:
        stored: whether the event is in the history store. It is False without consent. With
            consent, False means that the store did not store it: send the event again, with the
            same `event_id`.
        reason: why the event is not stored: `no_consent`; `not_in_history` if events of its type
            belong in no history; `store_unavailable` if the store did not
            answer, `store_refused` if it answers and is full or read-only; `journalled` if the
            event is on the service's disk and will be stored, so need not be sent again;
            `journal_full` or `journal_failed` if it could not be written there. None: it is
            stored.
        logged: whether the event is in the event log, for training; None: the service has none.
    """

    model_version: str
    variant: str
    stored: bool
    reason: NotStored | None
    logged: bool | None
    degraded: bool


class EventRecommendationAnswer(RecommendationAnswer):
    """The result of appending an event, and items recommended after it.

    Attributes:
        stored: whether the event is in the history store, see `EventAnswer`.
        reason: why it is not, see `EventAnswer`.
        logged: whether the event is in the event log, see `EventAnswer`.
    """

    stored: bool
    reason: NotStored | None
    logged: bool | None


class EventOutcome(TypedDict):
    """Outcome of one event of a request with many.

    Attributes:
        stored: whether the event is in the history store, see `EventAnswer`.
        reason: why it is not, see `EventAnswer`; `invalid`: `detail` says what is wrong with it.
        logged: whether the event is in the event log, see `EventAnswer`.
        detail: what is wrong with the event; None: nothing.
    """

    stored: bool
    reason: Literal["invalid", NotStored] | None
    logged: bool | None
    detail: str | None


class EventsAnswer(TypedDict):
    """The results of sending several events, in their order."""

    events: list[EventOutcome]


class SessionAnswer(TypedDict):
    """The stored history of a session.

    Attributes:
        history: item ids, oldest first.
    """

    session_id: str
    history: list[str]
    degraded: bool


class SimilarItemsAnswer(TypedDict):
    """The items nearest to an item, nearest first; their `score` is the cosine similarity."""

    model_version: str
    items: list[RecommendedItem]
    shortage: NotRequired[Shortage | None]
    left_out_pins: NotRequired[list[str]]


class PopularItem(RecommendedItem):
    """A popular or trending item.

    Attributes:
        score: without boosts, the logarithm of one plus its events, or of its growth.
        events: its events in the window; 0: its interactions in training, or a pin, put it into the
            list; None: the request has no window.
        events_before: its events in the window before; None: the request has no window.
    """

    events: int | None
    events_before: int | None


class PopularItemsAnswer(TypedDict):
    """The most popular or trending items, best first but for pinned items and diversity.

    Attributes:
        degraded: whether the counts could not be read, so that older ones, or none, were used.
        since: time in ms since 1970 at which the window begins; None: the request has no window.
        events: counted events of all items in the window; None: the request has no window.
        events_before: those in the window before; None: the request has no window.
    """

    model_version: str
    degraded: bool
    since: int | None
    events: int | None
    events_before: int | None
    items: list[PopularItem]
    shortage: NotRequired[Shortage | None]
    left_out_pins: NotRequired[list[str]]


class ExamplesAnswer(TypedDict):
    """Histories to try the service with; each has its oldest item first."""

    histories: list[list[ItemAnswer]]
