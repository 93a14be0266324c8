"""Formats the figures and tables of a report in Markdown."""

from collections.abc import Sequence
from math import isfinite

from training.data.dataset import Split
from training.evaluation.intervals import Interval
from training.ladder.results.measured import Figures, Measured


def figure_of(line: Measured, figures: Figures, targets: str, metric: str) -> str:
    """Formats a metric on test examples with its interval, as `0.0586 [0.0499, 0.0686]`.

    Returns "" if the ranker answered no test example whose next item belongs to `targets`.

    Args:
        line: the measured ranker.
        figures: computes the metric.
        targets: name of the group of next items that count, such as `cold`; `Figures.is_among`
            has all names.
        metric: name of the metric, such as `NDCG@20`.
    """
    if not figures.is_among(targets, line.answered(Split.TEST), line.protocol).any():
        return ""
    return bracketed(figures.draws(line, Split.TEST, targets, metric).interval())


def bracketed(interval: Interval) -> str:
    """Formats a mean with its interval, as `0.0586 [0.0499, 0.0686]`."""
    return f"{interval.mean:.4f} [{interval.low:.4f}, {interval.high:.4f}]"


def signed(interval: Interval) -> str:
    """Formats a difference with its interval, as `+0.0087 [+0.0012, +0.0161]`.

    Returns "" if no example was compared.
    """
    if not isfinite(interval.mean):
        return ""
    return f"{interval.mean:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]"


def outcome(difference: Interval) -> str:
    """Returns the outcome of a difference: `helps`, `**hurts**` or `not shown`.

    The outcome is `not shown` if the interval contains 0.
    """
    if not difference.excludes_zero:
        return "not shown"
    return "helps" if difference.low > 0 else "**hurts**"


def as_table(headings: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Formats a Markdown table. Each row of `cells` has one cell for each of `headings`."""
    rule = ["---"] * len(headings)
    return "\n".join(f"| {' | '.join(line)} |" for line in (headings, rule, *cells))
