"""Computes metrics with anytime-valid intervals from live figures, and compares variants."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from export.contract.log.live_figures import Drift, LiveFigures, LiveReport, load_report
from service.experiments.intervals import Interval, difference, mean, proportion, trials_to_show

ALPHA = 0.05
_SMALLEST = 0.1
"""Relative difference for which an answer estimates the number of impressions to show it."""

Rate = Callable[[LiveFigures, float], Interval]

_RATES: Mapping[str, Rate] = {
    "click_through": lambda each, alpha: proportion(each.clicked, each.impressions, alpha),
    "conversion": lambda each, alpha: proportion(each.converted, each.impressions, alpha),
    "value": lambda each, alpha: mean(each.value, each.value_squares, each.impressions, alpha),
    "next_item_hit": lambda each, alpha: proportion(each.hits, each.followed, alpha),
}
"""Function of each metric that computes the interval of its mean from figures and alpha.

The mean is over impressions, or over followed lists for `next_item_hit`.
"""

_PROPORTIONS = ("click_through", "conversion", "next_item_hit")


class ExperimentFile:
    """Computes metrics from a file of live figures, and caches them until the file changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state: tuple[int, int, int] | None = None
        self._content: Mapping[str, Any] = {}

    def content(self, control: str) -> Mapping[str, Any]:
        """Returns the figures and their comparisons with the variant `control`, as a JSON object.

        If the file has changed, takes milliseconds for a few variants, and below a second for the
        1,000 figures that a file may have at most.

        Raises:
            OSError: the file is missing.
            BundleError: the file has no live figures.
        """
        stat = self._path.stat()
        state = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if state != self._state:
            self._content = content_of(load_report(self._path), control)
            self._state = state
        return self._content


def content_of(report: LiveReport, control: str) -> Mapping[str, Any]:
    """Returns a report as a JSON object, with each variant compared with `control`.

    The object has the metrics of each variant, model version and source, and the drift; its
    fields are those of `ExperimentsAnswer`.
    """
    return {
        "begin": report.begin,
        "made_at": report.made_at,
        "figures": [_rates(each) for each in report.figures],
        "comparisons": list(_comparisons(report.figures, control)),
        "drift": None if report.drift is None else _shares(report.drift),
    }


def _shares(drift: Drift) -> dict[str, Any]:
    """Returns drift as a JSON object; shares are null without events."""
    known = drift.events - drift.unknown
    return {
        "model_version": drift.model_version,
        "begin": drift.begin,
        "events": drift.events,
        "unknown_items": drift.unknown / drift.events if drift.events else None,
        "head": drift.head / known if known else None,
        "head_in_training": drift.head_share,
        "busiest_session": drift.busiest / drift.events if drift.events else None,
    }


def _rates(figures: LiveFigures) -> dict[str, Any]:
    return {
        "variant": figures.variant,
        "model_version": figures.model_version,
        "source": figures.source,
        "impressions": figures.impressions,
        "followed": figures.followed,
        "clicks_by_place": figures.clicks_by_place,
        **{name: _json(rate(figures, ALPHA)) for name, rate in _RATES.items()},
    }


def _comparisons(figures: Sequence[LiveFigures], control: str) -> Iterator[dict[str, Any]]:
    sums = _sums(figures)
    if control not in sums:
        return
    of_control = [_OfControl.of(control, metric, sums[control]) for metric in _RATES]
    for name, of_variant in sums.items():
        if name != control:
            for each in of_control:
                yield each.compared(name, of_variant)


@dataclass(frozen=True)
class _OfControl:
    """A metric of the control, computed once for the comparisons with all variants.

    Attributes:
        control: name of the control.
        metric: name of the metric.
        interval: the interval of the metric. Together with the interval of a variant, it holds with
            probability 1 - ALPHA.
        needed: number of impressions to show the difference `_SMALLEST`; None if it is not known.
    """

    control: str
    metric: str
    interval: Interval
    needed: int | None

    @classmethod
    def of(cls, control: str, metric: str, figures: LiveFigures) -> Self:
        """Computes the interval of `metric` from the figures of `control`; takes milliseconds."""
        interval = _RATES[metric](figures, ALPHA / 2)
        needed = None
        if metric in _PROPORTIONS and 0 < interval.estimate < 1:
            needed = trials_to_show(interval.estimate, _SMALLEST * interval.estimate, ALPHA)
        return cls(control, metric, interval, needed)

    def compared(self, name: str, figures: LiveFigures) -> dict[str, Any]:
        """Compares the variant `name`, which has `figures`, with the control."""
        found = difference(_RATES[self.metric](figures, ALPHA / 2), self.interval)
        ahead = None
        if found.excludes_zero:
            ahead = name if found.low > 0 else self.control
        return {
            "variant": name,
            "against": self.control,
            "metric": self.metric,
            "difference": _json(found),
            "ahead": ahead,
            "impressions_for_a_tenth": self.needed if ahead is None else None,
        }


def _sums(figures: Sequence[LiveFigures]) -> Mapping[str, LiveFigures]:
    """Returns the sum of the figures of each variant, over its model versions and sources."""
    by_variant: dict[str, list[LiveFigures]] = {}
    for each in figures:
        by_variant.setdefault(each.variant, []).append(each)
    return {name: _sum(name, of_variant) for name, of_variant in by_variant.items()}


def _sum(variant: str, figures: Sequence[LiveFigures]) -> LiveFigures:
    names = ("impressions", "clicked", "converted", "value", "value_squares", "followed", "hits")
    totals = {name: sum(getattr(each, name) for each in figures) for name in names}
    return LiveFigures(variant, "", "", clicks_by_place=[], **totals)


def _json(interval: Interval) -> dict[str, float | None]:
    """Returns an interval as a JSON object; infinite and undefined (NaN) numbers become null."""
    return {
        name: value if abs(value) < float("inf") else None
        for name, value in interval._asdict().items()
    }
