"""Answers about the service itself: its model, its variants and their live figures, its health."""

from typing import Any, Literal, TypedDict


class IntervalAnswer(TypedDict):
    """An estimate and its anytime-valid 95 % interval; None: no data, or no bound."""

    estimate: float | None
    low: float | None
    high: float | None


class LiveFiguresAnswer(TypedDict):
    """Live figures of the lists of one variant, model version and source.

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


class DriftAnswer(TypedDict):
    """Drift of recent events from the training of the model; a share is None without events.

    Attributes:
        begin: begin of the recent events in ms since 1970.
        events: number of recent events.
        unknown_items: share of the events on items that the model does not have.
        head: share, of the events on items of the model, on its most popular items.
        head_in_training: share of the training interactions on these most popular items.
        busiest_session: share of the events of the session with the most events.
    """

    model_version: str
    begin: int
    events: int
    unknown_items: float | None
    head: float | None
    head_in_training: float
    busiest_session: float | None


class ExperimentsAnswer(TypedDict):
    """Live figures of the variants.

    Attributes:
        begin: time in ms since 1970 from which on is counted; None: all.
        made_at: time in ms since 1970 at which the event log was counted.
        figures: figures of each variant, model version and source.
        comparisons: each variant compared with the control.
        drift: recent events against the training of the model; None: not compared.
    """

    begin: int | None
    made_at: int
    figures: list[LiveFiguresAnswer]
    comparisons: list[ComparisonOfVariantsAnswer]
    drift: DriftAnswer | None


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


class SampleAnswer(TypedDict):
    """One value of a metric, with the name and labels of `GET /metrics`; None: not a number."""

    name: str
    labels: dict[str, str]
    value: float | None


class OperationsAnswer(TypedDict):
    """The served bundles, and the metrics of one replica of the service.

    Attributes:
        replica: name of the host that answered.
        read_at: time of the answer in ms since 1970.
        model: the bundle of the control, and all variants.
        samples: values of all metrics.
    """

    replica: str
    read_at: int
    model: ModelAnswer
    samples: list[SampleAnswer]


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
