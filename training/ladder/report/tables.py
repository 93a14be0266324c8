"""Formats the figures and tables of a report in Markdown."""

from collections.abc import Sequence

from training.data.dataset import Split
from training.evaluation.intervals import Interval
from training.ladder.results.measured import Figures, Measured


def figure_of(line: Measured, figures: Figures, targets: str, metric: str) -> str:
    """Formats a test figure with its interval; returns "" if the ranker answered no such target.

    Args:
        line: the ranker.
        figures: computes the figure.
        targets: the next items that count, see `Figures.draws`.
        metric: name of the metric, such as `NDCG@20`.
    """
    if not figures.is_among(targets, line.answered(Split.TEST), line.protocol).any():
        return ""
    return bracketed(figures.draws(line, Split.TEST, targets, metric).interval())


def bracketed(interval: Interval) -> str:
    """Formats a figure, followed by its interval in brackets."""
    return f"{interval.mean:.4f} [{interval.low:.4f}, {interval.high:.4f}]"


def signed(interval: Interval) -> str:
    """Formats a difference with its interval, each number with its sign."""
    return f"{interval.mean:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]"


def percent(interval: Interval) -> str:
    """Formats a relative difference with its interval, in percent."""
    return f"{interval.mean:+.1%} [{interval.low:+.1%}, {interval.high:+.1%}]"


def outcome(difference: Interval) -> str:
    """Names a difference `helps`, `**hurts**`, or `not shown` if the interval contains 0."""
    if not difference.excludes_zero:
        return "not shown"
    return "helps" if difference.low > 0 else "**hurts**"


def as_table(headings: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Formats a Markdown table; `cells` are its rows, as long as `headings`."""
    rule = ["---"] * len(headings)
    return "\n".join(f"| {' | '.join(line)} |" for line in (headings, rule, *cells))
