"""Writes docs/reference/metrics.md: every metric that the service exports."""

from collections.abc import Iterator, Sequence

from prometheus_client.metrics_core import Metric

from handbook.reference.example_service import example_service
from handbook.reference.json_schema import table
from handbook.reference.service_facts.label_values import value_rows

INTRODUCTION = """\
# Metrics

`GET /metrics` answers in Prometheus' text format. Times are seconds. A counter is exported as
`NAME_total`, a histogram as `NAME_bucket`, `NAME_sum` and `NAME_count`. The metrics of the process
are those of Linux. The [operations guide](../operations.md#monitor) has the dashboard and the
alerts, which read these metrics.

`recommender_key_requests` is in the samples of `GET /v1/operations` alone, which needs a key of
scope *admin*, because anybody may read `GET /metrics`.

`make reference` writes this page from a running service.
"""
VALUES = """\
## Values of labels

Other labels: `variant` and `model_version` are those of `GET /v1/model`, `key` is the part of an
API key before the dot, `method`, `status` and `route` are the request's, where the route is a
template such as `/v1/items/{item_id}`, and `metric` is one of `GET /v1/experiments`.
"""


def page() -> str:
    """Returns the text of the page."""
    metrics = table(("metric", "kind", "labels", "meaning"), _rows())
    values = table(("metric", "label", "value", "meaning"), value_rows())
    return f"{INTRODUCTION}\n{metrics}\n\n{VALUES}\n{values}\n"


def _rows() -> Iterator[Sequence[str]]:
    for family in example_service().metrics:
        labels = ", ".join(f"`{each}`" for each in _labels(family))
        yield f"`{family.name}`", family.type, labels, family.documentation


def _labels(family: Metric) -> Sequence[str]:
    names = {name for sample in family.samples for name in sample.labels}
    return sorted(names - {"le"})  # the upper end of a bucket
