import pytest

from benchmarks.options import ROOT
from benchmarks.results.figures import Figure, Findings, Report, load_report, make_report
from benchmarks.results.readme import BEGIN, END, OUT, figures_section, insert_figures


def report(name: str, figures: list[Figure], **series: object) -> Report:
    findings = Findings(figures=tuple(figures), conditions={}, series=series)
    return make_report(name, findings, is_quick=False)


def test_student_and_teacher_are_rows_of_one_table() -> None:
    figures = [
        Figure(name="p50, student", unit="ms", runs=(0.5,)),
        Figure(name="p50, teacher", unit="ms", runs=(231.0,)),
        Figure(name="NDCG@20, student", unit="", runs=(0.05741,)),
    ]
    text = figures_section([report("student_vs_teacher", figures, student={}, teacher={})])
    assert "| student | 0.50 ms |  |  |  |  |  | 0.0574 |" in text
    assert "| teacher | 231 ms |  |  |  |  |  |  |" in text


def test_a_figure_with_a_bar_is_listed_with_its_command() -> None:
    figures = [
        Figure(name="p99", unit="ms", runs=(25.0, 24.0, 26.0), at_most=20),
        Figure(name="rate", unit="/s", runs=(7.0,)),
    ]
    text = figures_section([report("constant_rate", figures)])
    expected = "| p99 | **25.0 ms** | 24.0…26.0 | ≤ 20.0 | `python -m benchmarks constant_rate` |"
    assert expected in text
    assert "rate |" not in text.replace("constant_rate", "")


def test_figures_replace_the_old_ones_and_nothing_else() -> None:
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = insert_figures(text, "new")
    assert once == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert insert_figures(once, "new") == once
    with pytest.raises(ValueError, match="no <!--"):
        insert_figures("no marks", "new")


def test_readme_holds_the_figures_of_the_reports() -> None:
    reports = [load_report(path) for path in sorted(OUT.glob("*.json"))]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    expected = insert_figures(text, figures_section(reports) if reports else "")
    assert expected.split() == text.split()
