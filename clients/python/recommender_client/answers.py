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

from typing import Any, Literal, NotRequired, TypedDict

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
    """What became of one event of many.

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


class ItemAnswer(TypedDict):
    """An item of the catalog.

    Attributes:
        popularity: number of its training interactions.
        attributes: values to filter by, by name of the attribute.
    """

    item_id: str
    title: str
    popularity: int
    attributes: dict[str, list[str]]


class ItemsAnswer(TypedDict):
    """Items that match a search, the most popular first."""

    items: list[ItemAnswer]


class AddedItemAnswer(ItemAnswer):
    """An item that was added at run time.

    Attributes:
        variants: names of the variants that can recommend it.
    """

    variants: list[str]


class ItemEditAnswer(TypedDict):
    """All that is different about an item since it was added or its bundle was made.

    Attributes:
        title: None: the item's own title.
        attributes: None: the item's own attributes.
    """

    item_id: str
    hidden: bool
    title: str | None
    attributes: dict[str, list[str]] | None


class SimilarItemsAnswer(TypedDict):
    """The items nearest to an item, nearest first; their `score` is the cosine similarity."""

    model_version: str
    items: list[RecommendedItem]
    shortage: NotRequired[Shortage | None]
    left_out_pins: NotRequired[list[str]]


class ExamplesAnswer(TypedDict):
    """Histories to try the service with; each has its oldest item first."""

    histories: list[list[ItemAnswer]]


class IntervalAnswer(TypedDict):
    """An estimate and its anytime-valid 95 % interval; None: no data, or no bound."""

    estimate: float | None
    low: float | None
    high: float | None


class LiveFiguresAnswer(TypedDict):
    """What became of the lists of one variant, model version and source.

    Attributes:
        impressions: number of lists that were shown.
        followed: number of lists after which their session had an event.
        clicks_by_place: number of clicks by place in the list.
        click_through: share of the lists with a click.
        conversion: share of the lists with a purchase.
        value: value of the events that a list led to, mean over lists.
        next_item_hit: share of the followed lists that had the item of the session's next event.
    """

    variant: str
    model_version: str
    source: str
    impressions: int
    followed: int
    clicks_by_place: list[int]
    click_through: IntervalAnswer
    conversion: IntervalAnswer
    value: IntervalAnswer
    next_item_hit: IntervalAnswer


class ComparisonOfVariantsAnswer(TypedDict):
    """One metric of a variant minus that of the control.

    Attributes:
        against: name of the control.
        ahead: variant that is better; None: it is not shown yet.
        impressions_for_a_tenth: about how many lists of each variant would show a difference of a
            tenth; None: it is shown, or not known.
    """

    variant: str
    against: str
    metric: Literal["click_through", "conversion", "value", "next_item_hit"]
    difference: IntervalAnswer
    ahead: str | None
    impressions_for_a_tenth: int | None


class ExperimentsAnswer(TypedDict):
    """Live figures of the variants.

    Attributes:
        begin: time in ms since 1970 from which on is counted; None: all.
        made_at: time in ms since 1970 at which the event log was counted.
        figures: figures of each variant, model version and source.
        comparisons: each variant compared with the control.
    """

    begin: int | None
    made_at: int
    figures: list[LiveFiguresAnswer]
    comparisons: list[ComparisonOfVariantsAnswer]


class VariantAnswer(TypedDict):
    """A variant: one bundle among several that share the traffic.

    Attributes:
        variant: name of the variant.
        weight: its share of the sessions, relative to the weights of the other variants.
        bundle: folder name of the served bundle.
        previous_bundle: folder name of the bundle that a rollback would serve; None if there is
            none.
        refused: reason why the newest bundle is not served; None if it is served.
    """

    variant: str
    weight: float
    model_version: str
    bundle: str
    previous_bundle: str | None
    refused: str | None


class FigureAnswer(TypedDict):
    """One metric of the student, a baseline or the teacher, with its 95 % interval.

    Attributes:
        row: name of the ranker, as in the result tables.
        student: name of the student's architecture; empty for a baseline and the teacher.
        teacher_free: whether no LLM teacher had a part in it.
        protocol: `validation` if it was trained without the held-out interactions, `refit` if it
            was trained again on all of them.
        split: split of the examples, `validation` or `test`.
        targets: examples that count, by their next item; `all` or a part of them.
        metric: name of the metric, such as `NDCG@20`.
        mean: mean over the examples and the seeds.
        low: lower end of the interval.
        high: upper end of the interval.
        seeds: number of runs.
    """

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
    """The manifest of the served bundle, and all variants.

    With several variants, the manifest is that of the first one, the control.
    """

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
    """Answer of the liveness probe; `status` is always `ok`."""

    status: str


class ReadinessAnswer(TypedDict):
    """Answer of the readiness probe: the service accepts requests.

    Attributes:
        degraded: whether the history store does not answer, or does not store events.
        history_store: `reachable`, or `lost` if it does not answer.
        history_writes: `failing` if the last event could not be stored, else `working`.
        last_write_at: Unix time in ms at which the worker last stored an event; None: not yet.
        teacher: `none` if the service has no teacher; `configured` until the teacher has answered
            this worker for the first time, then `connected`; `lost` while the teacher fails.
    """

    status: str
    degraded: bool
    history_store: str
    history_writes: Literal["working", "failing"]
    last_write_at: int | None
    teacher: Literal["none", "configured", "connected", "lost"]
    model_version: str
