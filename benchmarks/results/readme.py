"""Writes the figures of `benchmarks/out` into README.md, between two comments.

python -m benchmarks.results.readme
"""

import sys
from collections.abc import Iterable, Iterator, Sequence

from benchmarks.options import ROOT
from benchmarks.results.figures import Figure, Report, load_report
from benchmarks.results.markdown import format_number, markdown_table
from training.stage import write_text

OUT = ROOT / "benchmarks" / "out"
BEGIN, END = "<!-- figures: python -m benchmarks.results.readme -->", "<!-- end of figures -->"
# Beginnings of figure names in the report `student_vs_teacher`, each with its column heading.
COLUMNS = (
    ("p50", "p50"),
    ("p90", "p90"),
    ("p99", "p99"),
    ("throughput", "throughput"),
    ("CPU for a million answers", "CPU for a million"),
    ("a million answers", "cost of a million"),
    ("NDCG@20", "NDCG@20"),
)


def main() -> int:
    """Rewrites the figures in README.md; returns the exit code, 0."""
    readme = ROOT / "README.md"
    reports = [load_report(path) for path in sorted(OUT.glob("*.json"))]
    text = readme.read_text(encoding="utf-8")
    write_text(readme, insert_figures(text, figures_section(reports)))
    return 0


def insert_figures(text: str, figures: str) -> str:
    """Returns `text` with everything between the lines BEGIN and END replaced by `figures`.

    Raises:
        ValueError: BEGIN or END is missing, or END comes first.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no {BEGIN} … {END} in the text; both comments are needed, in this order")
    return f"{before}{BEGIN}\n\n{figures}\n\n{END}{after}"


def figures_section(reports: Sequence[Report]) -> str:
    """Returns the section of README.md: the student against teachers, all targets, and origins."""
    by_name = {report.name: report for report in reports}
    parts = []
    if (comparison := by_name.get("student_vs_teacher")) is not None:
        parts += [
            _picture(comparison),
            markdown_table(["", *(head for _, head in COLUMNS)], _comparison_rows(comparison)),
        ]
    parts.append(markdown_table(("", "median", "runs", "target", "command"), _target_rows(reports)))
    parts.append(f"<sub>{'; '.join(_origins(reports))}</sub>")
    return "\n\n".join(parts)


def _comparison_rows(report: Report) -> Iterator[list[str]]:
    figures = {each.name: each for each in report.figures}
    for name in report.series:
        cells = [figures.get(f"{figure}, {name}") for figure, _ in COLUMNS]
        yield [name, *map(_cell, cells)]


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return ""
    if figure.name.startswith("NDCG"):
        return f"{figure.value:.4f}"
    return f"{format_number(figure.value)} {figure.unit}"


def _target_rows(reports: Iterable[Report]) -> Iterator[list[str]]:
    for report in reports:
        for each in report.figures:
            if each.target:
                value = f"{format_number(each.value)} {each.unit}".strip()
                marked = value if each.holds else f"**{value}**"
                yield [each.name, marked, each.spread, each.target, f"`{report.command}`"]


def _picture(report: Report) -> str:
    return f"![{report.name}](benchmarks/out/{report.name}.png)"


def _origins(reports: Iterable[Report]) -> Iterator[str]:
    """Yields commit, machine and day of the reports, once for all reports that share them."""
    names: dict[tuple[str, str, str], list[str]] = {}
    for report in reports:
        origin = (report.commit, report.hardware, f"{report.date:%Y-%m-%d}")
        names.setdefault(origin, []).append(report.name)
    for (commit, hardware, day), of_origin in names.items():
        yield f"{', '.join(of_origin)}: commit {commit}, {hardware}, {day}"


if __name__ == "__main__":
    sys.exit(main())
