import re
from pathlib import Path

import pytest

from benchmarks.options import Options
from benchmarks.results.documents import (
    DATA,
    FINDINGS,
    LADDER_REPORTS,
    PERFORMANCE,
    README,
    comparison_section,
    documents,
    load_reports,
    replace_section,
    summary_section,
    targets_section,
    worth_section,
)
from benchmarks.results.figures import Figure, Findings, Report, make_report
from benchmarks.results.findings_tables import ROWS, findings_table


def report(name: str, figures: list[Figure], **series: object) -> Report:
    findings = Findings(figures=tuple(figures), conditions={}, series=series)
    options = Options(Path("work"), is_quick=False, peers_python=Path("python"), core_hour=0.04)
    return make_report(name, findings, options)


def test_student_and_teacher_are_rows_of_one_table() -> None:
    figures = [
        Figure(name="p50, student", unit="ms", runs=(0.5,)),
        Figure(name="p50, teacher", unit="ms", runs=(231.0,)),
        Figure(name="NDCG@20, student", unit="", runs=(0.05741,)),
    ]
    compared = report("student_vs_teacher", figures, student={}, teacher={})
    text = comparison_section({"student_vs_teacher": compared})
    assert "| student | 0.500 ms |  |  |  |  |  | 0.0574 |" in text
    assert "| teacher | 231 ms |  |  |  |  |  |  |" in text


def test_a_figure_with_a_bar_is_listed_with_its_command() -> None:
    figures = [
        Figure(name="p99", unit="ms", runs=(25.0, 24.0, 26.0), at_most=20),
        Figure(name="rate", unit="/s", runs=(7.0,)),
    ]
    text = targets_section({"constant_rate": report("constant_rate", figures)})
    expected = "| p99 | **25.0 ms** | 24.0…26.0 | ≤ 20.0 | `python -m benchmarks constant_rate` |"
    assert expected in text
    assert "rate |" not in text.replace("constant_rate", "")


def test_figures_replace_the_old_ones_and_nothing_else() -> None:
    begin, end = "<!-- a: python -m benchmarks.results.documents -->", "<!-- end: a -->"
    text = f"before\n{begin}\nold\n{end}\nafter\n"
    once = replace_section(text, "a", "new")
    assert once == f"before\n{begin}\n\nnew\n\n{end}\nafter\n"
    assert replace_section(once, "a", "new") == once
    with pytest.raises(ValueError, match="no <!-- b:"):
        replace_section(text, "b", "new")


@pytest.mark.parametrize("path", [README, PERFORMANCE, FINDINGS], ids=lambda path: path.name)
def test_a_document_has_the_figures_of_the_reports(path: Path) -> None:
    assert documents(load_reports())[path].split() == path.read_text(encoding="utf-8").split()


def figures_of(table: str) -> set[str]:
    """Returns the cells of a table that are a figure of four decimals, with or without interval."""
    return set(re.findall(r"(?<=\| )-?\d\.\d{4}(?: \[[^]]*\])?(?= \|)", table))


@pytest.mark.parametrize("dataset", ROWS)
def test_figures_of_a_table_are_written_as_in_the_report(dataset: str) -> None:
    worth = dict(zip(DATA, worth_section({}).splitlines()[2:], strict=True))
    summary = summary_section(load_reports()) if dataset == "movielens" else ""
    table = findings_table(LADDER_REPORTS, dataset)
    found = figures_of(f"{worth.get(dataset, '')}\n{summary}\n{table}")
    assert len(found) >= 20
    written = (LADDER_REPORTS / f"{dataset}.md").read_text(encoding="utf-8")
    assert {each for each in found if f"| {each} |" not in written} == set()
