from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.options import Options
from benchmarks.results.figures import (
    Figure,
    Findings,
    load_report,
    make_report,
    save_report,
    summary_table,
)
from benchmarks.results.markdown import format_number


def test_the_median_run_is_the_figure() -> None:
    figure = Figure(name="p99", unit="ms", runs=(9.0, 2.0, 4.0))
    assert figure.value == 4.0
    assert figure.spread == "2.00…9.00"


@pytest.mark.parametrize(
    ("bars", "verdict"),
    [
        ({}, None),
        ({"at_most": 4.0}, True),
        ({"at_most": 3.9}, False),
        ({"at_least": 4.0}, True),
        ({"at_least": 4.1}, False),
    ],
)
def test_a_bar_is_kept_or_not(bars: dict[str, float], verdict: bool | None) -> None:
    assert Figure(name="p99", unit="ms", runs=(4.0,), **bars).holds is verdict


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1234.5, "1,234"),
        (99.94, "99.9"),
        (2.345, "2.35"),
        (0.996, "0.996"),
        (0.0123, "0.012"),
    ],
)
def test_a_number_has_three_significant_digits(value: float, text: str) -> None:
    assert format_number(value) == text


def options(**given: Any) -> Options:
    return replace(
        Options(Path("work"), is_quick=False, peers_python=Path("python"), core_hour=0.04), **given
    )


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    figure = Figure(name="p99", unit="ms", runs=(4.0,), at_most=5)
    findings = Findings(figures=(figure,), conditions={"rate": 5}, series={"x": [1]})
    report = make_report("some_benchmark", findings, options(is_quick=True))
    save_report(report, tmp_path)
    assert load_report(tmp_path / "some_benchmark.json") == report
    assert report.command == "python -m benchmarks some_benchmark --quick"
    assert "cores" in report.hardware
    assert report.versions["onnxruntime"]
    assert report.versions["python"].startswith("3.")


def test_the_table_marks_figures_that_miss_their_bar() -> None:
    figures = (
        Figure(name="p99", unit="ms", runs=(4.0,), at_most=3),
        Figure(name="rate", unit="/s", runs=(1500.0, 1600.0, 1700.0)),
    )
    report = make_report("load", Findings(figures=figures, conditions={}), options())
    assert summary_table([report]).splitlines()[2:] == [
        "| load | p99 | 4.00 ms |  | ≤ 3.00 | **no** |",
        "| load | rate | 1,600 /s | 1,500…1,700 |  |  |",
    ]


def test_a_report_of_a_comparison_names_the_other_checkout_in_its_command() -> None:
    compared = options(against=Path("../before"))
    report = make_report("request_cost", Findings(figures=(), conditions={}), compared)
    assert report.command == "python -m benchmarks request_cost --against ../before"
