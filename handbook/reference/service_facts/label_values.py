"""The values of metrics' labels, with their meanings, for docs/reference/metrics.md."""

from collections.abc import Iterator, Mapping, Sequence

from service.admission.gate import REASONS
from service.telemetry.metrics import LEFT_OUT, OUTCOMES

_PARTS = {
    "history": "reading and changing the session in the history store",
    "infer": "ranking by the student",
    "explain": "the reasons of an answer with `explain`",
    "teacher": "waiting for the teacher",
}
_SOURCES = {
    "student": "the student",
    "similar": "items similar to the history, because the student failed",
    "popular": "the most popular items, because the model knows no item of the history",
    "catalog": "items in the catalog's order, because none has an interaction in training",
    "teacher": "the teacher",
}
_STATES = {"queued": "they wait for a turn", "running": "they have one"}
_KINDS = {"event": "events of sessions", "impression": "lists that were shown"}
_DEGRADED = {
    "true": "the history store, the student or the teacher did not answer",
    "false": "nothing was down",
}

VALUES: Sequence[tuple[str, str, Mapping[str, str]]] = (
    ("recommender_part_seconds", "part", _PARTS),
    ("recommender_answers", "source", _SOURCES),
    ("recommender_answers", "degraded", _DEGRADED),
    ("recommender_refusals", "reason", REASONS),
    ("recommender_key_requests", "outcome", OUTCOMES),
    ("recommender_log_left_out", "kind", _KINDS),
    ("recommender_log_left_out", "reason", LEFT_OUT),
    ("recommender_heavy_units", "state", _STATES),
)
"""Metric, label, and the values of the label with their meanings."""


def value_rows() -> Iterator[Sequence[str]]:
    """Yields a row for each value: metric, label, value and meaning."""
    for metric, label, meanings in VALUES:
        for value, meaning in meanings.items():
            yield f"`{metric}`", f"`{label}`", f"`{value}`", meaning
