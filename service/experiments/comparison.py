"""Computes metrics with anytime-valid intervals from live figures, and compares variants."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

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

        Takes milliseconds if the file has changed.

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
    by_variant = {name: _sum(name, figures) for name in {each.variant: None for each in figures}}
    if control not in by_variant:
        return
    for name, of_variant in by_variant.items():
        if name != control:
            for metric, rate in _RATES.items():
                # Both intervals hold together with probability 1 - ALPHA.
                pair = [rate(each, ALPHA / 2) for each in (of_variant, by_variant[control])]
                yield _compared(name, control, metric, *pair)


def _compared(
    name: str, control: str, metric: str, of_variant: Interval, of_control: Interval
) -> dict[str, Any]:
    found = difference(of_variant, of_control)
    ahead = None
    if found.excludes_zero:
        ahead = name if found.low > 0 else control
    needed = None
    if metric in _PROPORTIONS and ahead is None and 0 < of_control.estimate < 1:
        needed = trials_to_show(of_control.estimate, _SMALLEST * of_control.estimate, ALPHA)
    return {
        "variant": name,
        "against": control,
        "metric": metric,
        "difference": _json(found),
        "ahead": ahead,
        "impressions_for_a_tenth": needed,
    }


def _sum(variant: str, figures: Sequence[LiveFigures]) -> LiveFigures:
    """Returns the sum of the figures of `variant`, over its model versions and sources."""
    of_variant = [each for each in figures if each.variant == variant]
    names = ("impressions", "clicked", "converted", "value", "value_squares", "followed", "hits")
    totals = {name: sum(getattr(each, name) for each in of_variant) for name in names}
    return LiveFigures(variant, "", "", clicks_by_place=[], **totals)


def _json(interval: Interval) -> dict[str, float | None]:
    """Returns an interval as a JSON object; infinite and undefined (NaN) numbers become null."""
    return {
        name: value if abs(value) < float("inf") else None
        for name, value in interval._asdict().items()
    }
