"""Writes the figures of `benchmarks/out` into README, between two marks.

python -m benchmarks.results.readme
"""

import sys
from collections.abc import Iterable, Iterator, Sequence

from benchmarks.results.figures import Figure, Report, load_report, markdown, shown
from benchmarks.subjects.processes import ROOT
from training.stage import write_text

OUT = ROOT / "benchmarks" / "out"
BEGIN, END = "<!-- figures: python -m benchmarks.results.readme -->", "<!-- end of figures -->"
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
    """The program; returns its exit code."""
    readme = ROOT / "README.md"
    reports = [load_report(path) for path in sorted(OUT.glob("*.json"))]
    text = readme.read_text(encoding="utf-8")
    write_text(readme, with_figures(text, section(reports)))
    return 0


def with_figures(text: str, figures: str) -> str:
    """`text` with `figures` between its marks.

    Raises:
        ValueError: the marks are not there, once each and in order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no {BEGIN} … {END}")
    return f"{before}{BEGIN}\n\n{figures}\n\n{END}{after}"


def section(reports: Sequence[Report]) -> str:
    """Student and teachers, then everything that is held to a bar."""
    by_name = {report.name: report for report in reports}
    parts = []
    if (compared := by_name.get("student_vs_teacher")) is not None:
        parts += [
            _picture(compared),
            markdown(["", *(head for _, head in COLUMNS)], _rows(compared)),
        ]
    parts.append(markdown(("", "median", "runs", "bar", "command"), _held(reports)))
    parts.append(f"<sub>{'; '.join(_origins(reports))}</sub>")
    return "\n\n".join(parts)


def _rows(report: Report) -> Iterator[list[str]]:
    figures = {each.name: each for each in report.figures}
    for name in report.series:
        cells = [figures.get(f"{figure}, {name}") for figure, _ in COLUMNS]
        yield [name, *map(_cell, cells)]


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return ""
    if figure.name.startswith("NDCG"):
        return f"{figure.value:.4f}"
    return f"{shown(figure.value)} {figure.unit}"


def _held(reports: Iterable[Report]) -> Iterator[list[str]]:
    for report in reports:
        for each in report.figures:
            if each.bar:
                value = f"{shown(each.value)} {each.unit}".strip()
                kept = value if each.holds else f"**{value}**"
                yield [each.name, kept, each.spread, each.bar, f"`{report.command}`"]


def _picture(report: Report) -> str:
    return f"![{report.name}](benchmarks/out/{report.name}.png)"


def _origins(reports: Iterable[Report]) -> Iterator[str]:
    """Commits, machines and days, each said once."""
    names: dict[tuple[str, str, str], list[str]] = {}
    for report in reports:
        origin = (report.commit, report.hardware, f"{report.date:%Y-%m-%d}")
        names.setdefault(origin, []).append(report.name)
    for (commit, hardware, day), of_origin in names.items():
        yield f"{', '.join(of_origin)}: commit {commit}, {hardware}, {day}"


if __name__ == "__main__":
    sys.exit(main())
