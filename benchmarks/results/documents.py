"""Writes measured figures into README.md and three documents, between pairs of comments.

The figures come from the reports in `benchmarks/out` and `docs/results`.

python -m benchmarks.results.documents
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.measures.gains import ONE_AT_A_TIME, THROUGH_FASTAPI, TOGETHER
from benchmarks.options import ROOT
from benchmarks.results.figures import Figure, Report, load_report
from benchmarks.results.findings_tables import ROWS, findings_table
from benchmarks.results.markdown import format_number, markdown_table
from benchmarks.results.ranking_figures import RankingFigures
from training.evaluation.row_names import CE_ROW, DISTILLED_ROW, PAIRS_ROW, PLAIN_PAIRS_ROW
from training.stage import write_text

OUT = ROOT / "benchmarks" / "out"
LADDER_REPORTS = ROOT / "docs" / "results"
README, PERFORMANCE = ROOT / "README.md", ROOT / "docs" / "performance.md"
FINDINGS, OPERATIONS = ROOT / "docs" / "findings.md", ROOT / "docs" / "operations.md"

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
# Reports with the beginning of a figure's name and its label, for README.
SPEED = (
    (
        "constant_rate",
        "p99 at 1,000 requests/s, regulars",
        "p99 at 1,000 requests/s, evenly spaced",
    ),
    (
        "constant_rate",
        "p99 at 1,000 requests/s, regulars at random moments",
        "p99 at 1,000 requests/s, at random moments",
    ),
    ("peers", "throughput over", "throughput over the fastest other server of the same graph"),
    ("cold_start", "process start to ready", "from start to ready, its bundle checked before"),
    ("cold_start", "first start of a bundle", "from start to ready, its bundle unchecked"),
    ("cold_start", "resident when ready", "memory when ready"),
)
# Measures, each with the report that has its gain, the figure without it, and the figure with it.
GAINS = (
    ("graph instead of a naive export, 1 item", "graph", "naive, 1 items", "shipped, 1 items"),
    ("the same, 50 items", "graph", "naive, 50 items", "shipped, 50 items"),
    (
        "blocks of similar items, of 1,000,000 (without: random weights; with: the demo's student)",
        "scale",
        "an answer from 1,000,000 items",
        "p50 of an answer from 1,000,000 items",
    ),
    ("fast lane instead of FastAPI, 16 requests at once", "gains", THROUGH_FASTAPI, TOGETHER),
    ("16 requests at once instead of one at a time", "gains", ONE_AT_A_TIME, TOGETHER),
)
SIZES = ("10,000", "100,000", "300,000", "1,000,000")  # items of the report `scale`
_BUSY = 0.6  # share of a core that requests may take, so that they seldom wait
DATA = {
    "movielens": "[MovieLens](docs/results/movielens.md)",
    "amazon-games-original": "[Amazon games](docs/results/amazon-games-original.md)",
    "amazon-games-paper-original": "[the paper's targets]"
    "(docs/results/amazon-games-paper-original.md)",
}

# Rows of the students in README, as the defaults train them; older reports have the second.
ALONE = (PLAIN_PAIRS_ROW, CE_ROW)
TAUGHT = (PAIRS_ROW, DISTILLED_ROW)

Section = Callable[[Mapping[str, Report]], str]


def main() -> int:
    """Rewrites the figures in both documents; returns the exit code, 0."""
    for path, text in documents(load_reports()).items():
        write_text(path, text)
    return 0


def load_reports() -> dict[str, Report]:
    """Reads the reports in `benchmarks/out`; returns them by name of the benchmark."""
    reports = (load_report(path) for path in sorted(OUT.glob("*.json")))
    return {each.name: each for each in reports}


def documents(reports: Mapping[str, Report]) -> dict[Path, str]:
    """Returns the text of each document, by path, with its figures replaced."""
    texts = {}
    for path, sections in SECTIONS.items():
        texts[path] = path.read_text(encoding="utf-8")
        for name, section in sections.items():
            texts[path] = replace_section(texts[path], name, section(reports))
    return texts


def replace_section(text: str, name: str, figures: str) -> str:
    """Returns `text` with everything between the two comments of section `name` replaced.

    Raises:
        ValueError: a comment is missing, or the end comment comes first.
    """
    begin, end = f"<!-- {name}: python -m benchmarks.results.documents -->", f"<!-- end: {name} -->"
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"no {begin} … {end} in the text; both comments are needed, in this order")
    return f"{before}{begin}\n\n{figures}\n\n{end}{after}"


def summary_section(reports: Mapping[str, Report]) -> str:
    """Returns README's first table: quality, latency and cost of teacher, students and kNN.

    No row is refitted, for the teacher is not.
    """
    quality = RankingFigures(LADDER_REPORTS / "movielens.csv", refits=False)
    costs = {each.name: each for each in reports["student_vs_teacher"].figures}

    def cells(name: str) -> list[str]:
        return [_cell(costs[f"{figure}, {name}"]) for figure in ("p50", "a million answers")]

    of_student, baseline = cells("student"), quality.best_baseline()
    rows = [
        ["LLM teacher", quality.cell("teacher retrieval"), *cells("retrieval teacher")],
        ["**student, distilled from it**", quality.student_cell(TAUGHT, "SASRec"), *of_student],
        ["the same student without a teacher", quality.student_cell(ALONE, "SASRec"), *of_student],
        [f"{baseline}, which trains nothing", quality.cell(baseline), "", ""],
    ]
    return markdown_table(["MovieLens", "NDCG@20", "p50", "a million answers"], rows)


def worth_section(_: Mapping[str, Report]) -> str:
    """Returns README's table of test NDCG@20 on all data sets.

    It compares the best baseline, the best teacher, and a student with and without a teacher.
    """
    head = ["test NDCG@20", "neighbours", "best teacher", "student alone", "student, distilled"]
    rows = []
    for name, link in DATA.items():
        quality = RankingFigures(LADDER_REPORTS / f"{name}.csv")
        rows.append(
            [
                link,
                quality.cell(quality.best_baseline()),
                quality.cell(quality.best_teacher()),
                quality.student_cell(ALONE, "SASRec"),
                quality.student_cell(TAUGHT, "SASRec"),
            ]
        )
    return markdown_table(head, rows)


def speed_section(reports: Mapping[str, Report]) -> str:
    """Returns README's table of the figures of speed in `SPEED`.

    A figure that a report does not have yet gets no row.
    """
    rows = []
    for report, beginning, label in SPEED:
        figures = [each for each in reports[report].figures if each.name.startswith(beginning)]
        rows += [[label, _cell(each)] for each in figures[:1]]
    return markdown_table(["", "measured"], rows)


def comparison_section(reports: Mapping[str, Report]) -> str:
    """Returns the plot and the table that compare the student with its teachers."""
    report = reports["student_vs_teacher"]
    picture = f"![{report.name}](../benchmarks/out/{report.name}.png)"
    head = ["", *(head for _, head in COLUMNS)]
    return f"{picture}\n\n{markdown_table(head, _comparison_rows(report))}"


def targets_section(reports: Mapping[str, Report]) -> str:
    """Returns the table of all figures with a target, and a note on where they were measured."""
    table = markdown_table(
        ("", "median", "runs", "target", "command"), _target_rows(reports.values())
    )
    return f"{table}\n\n<sub>{'; '.join(_origins(reports.values()))}</sub>"


def gains_section(reports: Mapping[str, Report]) -> str:
    """Returns the table of CPU time without and with each measure of `GAINS`."""
    rows = []
    for label, name, *sides in GAINS:
        report = reports[name]
        figures = {each.name: each for each in report.figures}
        without, with_it = (figures[side] for side in sides)
        ratio = f"{format_number(with_it.value / without.value)} times"
        rows.append([label, _cell(without), _cell(with_it), ratio, f"`{report.command}`"])
    return markdown_table(("measure", "without", "with", "with over without", "command"), rows)


def size_section(reports: Mapping[str, Report]) -> str:
    """Returns the table of cores for 1,000 requests a second, by the number of items."""
    of_graph = {each.name: each.value for each in reports["scale"].figures}
    of_request = {each.name: each.value for each in reports["request_cost"].figures}
    rest = (of_request["service, saturated"] - of_request["bare graph"]) / 1000
    rows = []
    for size in SIZES:
        times = (
            of_graph[f"an answer from {size} items"],
            of_graph.get(f"p50 of an answer from {size} items"),
        )
        cells = [
            (f"{format_number(each)} ms", format_number((each + rest) / _BUSY))
            if each
            else ("", "")
            for each in times
        ]
        rows.append([size, *(cell for pair in cells for cell in pair)])
    return markdown_table(
        [
            "items",
            "search with proof, random weights",
            "cores",
            "by blocks, the demo's student",
            "cores",
        ],
        rows,
    )


def _findings_section(name: str) -> Section:
    return lambda _: findings_table(LADDER_REPORTS, name)


SECTIONS: Mapping[Path, Mapping[str, Section]] = {
    README: {
        "summary": summary_section,
        "worth it": worth_section,
        "how fast": speed_section,
    },
    PERFORMANCE: {
        "student and teachers": comparison_section,
        "targets": targets_section,
        "gains": gains_section,
    },
    OPERATIONS: {"size": size_section},
    FINDINGS: {name: _findings_section(name) for name in ROWS},
}


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


def _target_rows(reports: Iterable[Report]) -> Iterator[Sequence[str]]:
    for report in reports:
        for each in report.figures:
            if each.target:
                value = f"{format_number(each.value)} {each.unit}".strip()
                marked = value if each.holds else f"**{value}**"
                yield [each.name, marked, each.spread, each.target, f"`{report.command}`"]


def _origins(reports: Iterable[Report]) -> Iterator[str]:
    """Yields a note per commit, machine and day, with the names of the reports made there."""
    names: dict[tuple[str, str, str], list[str]] = {}
    for report in reports:
        origin = (report.commit, report.hardware, f"{report.date:%Y-%m-%d}")
        names.setdefault(origin, []).append(report.name)
    for (commit, hardware, day), of_origin in names.items():
        yield f"{', '.join(of_origin)}: commit {commit}, {hardware}, {day}"


if __name__ == "__main__":
    sys.exit(main())
