"""The program `training.ladder.reports`: what a report says is said again of what is kept."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.training.ladder.conftest import climb
from training.ladder import reports

NARROW = ("--students", "caser", "--seeds", "0", "--rows", "CE", "DLLM2Rec")


@pytest.fixture
def results(config: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a report; of the knowledge behind it nothing is left."""
    monkeypatch.setattr(sys, "argv", ["training.ladder", str(config), *NARROW])
    monkeypatch.setattr(reports, "prepare", lambda *_: None)
    climb(config, *NARROW)
    shutil.rmtree(config.parent / "work" / "chain" / "knowledge")
    return config.parent / "results"


def again(results: Path) -> int:
    return reports.main([str(results), "--work", str(results.parent / "work")])


def test_a_report_of_what_is_kept_is_the_same_again_and_stays_as_it_was(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in results.rglob("*.*")}

    assert again(results) == 0

    assert "chain.md: the same" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in results.rglob("*.*")} == before


@pytest.mark.parametrize("name", ["chain.md", "chain.csv"])
def test_a_figure_that_is_not_of_what_is_kept_is_told(
    results: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    report = results / name
    report.write_text(report.read_text().replace("1.0000", "0.9999", 1))

    assert again(results) == 1

    told = capsys.readouterr().out
    assert "0.9999" in told
    assert name in told


def test_a_report_whose_runs_are_gone_cannot_be_made(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (results / "runs" / "chain").iterdir():
        path.unlink()

    assert again(results) == 1

    assert "chain.md: cannot be made" in capsys.readouterr().out


def test_a_report_of_data_that_are_not_here_is_left_out(
    results: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = 'source = "tables"\ninteractions = "elsewhere.csv"\nitems = "items.csv"'
    config.write_text(config.read_text().replace('source = "movielens"', source))

    assert again(results) == 0

    assert "left out, elsewhere.csv is not here" in capsys.readouterr().out


def test_a_folder_without_reports_is_no_success(tmp_path: Path) -> None:
    assert again(tmp_path) == 1
