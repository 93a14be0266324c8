"""How figures and tables are written in Markdown."""

from collections.abc import Sequence

from training.data.dataset import Split
from training.evaluation.intervals import Interval
from training.ladder.results.measured import Figures, Measured


def figure_of(line: Measured, figures: Figures, targets: str, metric: str) -> str:
    """A test figure with its interval; nothing where it answered for no such target."""
    if not figures.are(targets, line.answered(Split.TEST)).any():
        return ""
    return _with_edges(figures.draws(line, Split.TEST, targets, metric).interval())


def signed(interval: Interval) -> str:
    """A difference."""
    return f"{interval.mean:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]"


def percent(interval: Interval) -> str:
    """A relative difference."""
    return f"{interval.mean:+.1%} [{interval.low:+.1%}, {interval.high:+.1%}]"


def as_table(headings: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    rule = ["---"] * len(headings)
    return "\n".join(f"| {' | '.join(line)} |" for line in (headings, rule, *cells))


def _with_edges(interval: Interval) -> str:
    return f"{interval.mean:.4f} [{interval.low:.4f}, {interval.high:.4f}]"
