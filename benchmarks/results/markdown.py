"""Formats Markdown tables, and numbers with few digits."""

from collections.abc import Iterable, Sequence


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table with one column per cell of `head`."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def format_number(value: float) -> str:
    """Formats a number with about three significant digits; from 100 on, as a whole number.

    Thousands are separated by commas.
    """
    size = abs(value)
    if value == 0 or size >= 100:
        return f"{value:,.0f}"
    if size < 0.1:
        return f"{value:.2g}"
    return f"{value:.{3 if size < 1 else 2 if size < 10 else 1}f}"
