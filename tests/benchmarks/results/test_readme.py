import pytest

from benchmarks.results.figures import Figure, Findings, Report, load_report, stamped
from benchmarks.results.readme import BEGIN, END, OUT, section, with_figures
from benchmarks.subjects.processes import ROOT


def report(name: str, figures: list[Figure], **series: object) -> Report:
    findings = Findings(figures=tuple(figures), conditions={}, series=series)
    return stamped(name, findings, is_quick=False)


def test_student_and_teacher_stand_side_by_side() -> None:
    figures = [
        Figure(name="p50, student", unit="ms", runs=(0.5,)),
        Figure(name="p50, teacher", unit="ms", runs=(231.0,)),
        Figure(name="NDCG@20, student", unit="", runs=(0.05741,)),
    ]
    text = section([report("student_vs_teacher", figures, student={}, teacher={})])
    assert "| student | 0.50 ms |  |  |  |  |  | 0.0574 |" in text
    assert "| teacher | 231 ms |  |  |  |  |  |  |" in text


def test_what_is_held_to_a_bar_names_its_command() -> None:
    figures = [
        Figure(name="p99", unit="ms", runs=(25.0, 24.0, 26.0), at_most=20),
        Figure(name="rate", unit="/s", runs=(7.0,)),
    ]
    text = section([report("constant_rate", figures)])
    expected = "| p99 | **25.0 ms** | 24.0…26.0 | ≤ 20.0 | `python -m benchmarks constant_rate` |"
    assert expected in text
    assert "rate |" not in text.replace("constant_rate", "")


def test_figures_replace_the_old_ones_and_nothing_else() -> None:
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = with_figures(text, "new")
    assert once == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert with_figures(once, "new") == once
    with pytest.raises(ValueError, match="no <!--"):
        with_figures("no marks", "new")


def test_readme_holds_the_figures_of_the_reports() -> None:
    reports = [load_report(path) for path in sorted(OUT.glob("*.json"))]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    expected = with_figures(text, section(reports) if reports else "")
    assert expected.split() == text.split()
