"""The program `training.ladder.regenerate`: what a report says is said again of what is kept."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.training.ladder.conftest import climb
from training.ladder import regenerate

NARROW = ("--students", "caser", "--seeds", "0", "--rows", "CE", "DLLM2Rec")


@pytest.fixture
def results(config: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a report; of the knowledge behind it nothing is left."""
    monkeypatch.setattr(sys, "argv", ["training.ladder", str(config), *NARROW])
    monkeypatch.setattr(regenerate, "prepare", lambda *_: None)
    climb(config, *NARROW)
    shutil.rmtree(config.parent / "work" / "chain" / "knowledge")
    return config.parent / "results"


def again(results: Path) -> int:
    return regenerate.main([str(results), "--work", str(results.parent / "work")])


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


@pytest.mark.parametrize("rest", ["an empty folder", "nothing"])
def test_a_report_whose_runs_are_gone_cannot_be_made(
    results: Path, capsys: pytest.CaptureFixture[str], rest: str
) -> None:
    runs = results / "runs" / "chain"
    shutil.rmtree(runs)
    if rest != "nothing":
        runs.mkdir()

    assert again(results) == 1

    assert "chain.md: cannot be made" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("no command", "names no command"),
        ("- command: `python -m training.ladder gone.toml`", "gone.toml: no such experiment"),
        ("- command: `python -m training.ladder {config} --rows X`", "cannot be made"),
    ],
)
def test_a_report_of_no_command_that_can_be_given_is_named_and_the_others_are_made(
    results: Path, config: Path, capsys: pytest.CaptureFixture[str], command: str, problem: str
) -> None:
    (results / "a.md").write_text(command.format(config=config))

    assert again(results) == 1

    told = capsys.readouterr().out
    assert problem in told
    assert "a.md: cannot be made" in told
    assert "chain.md: the same" in told


def test_options_of_a_command_may_come_before_its_experiment(
    results: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = results / "chain.md"
    text = report.read_text()
    named = f"training.ladder {config}"
    report.write_text(text.replace(named, f"training.ladder --kept {config}"))

    assert again(results) == 0

    assert "chain.md: the same" in capsys.readouterr().out


def test_reports_of_data_that_are_not_here_are_left_out_which_alone_is_no_success(
    results: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = 'source = "tables"\ninteractions = "elsewhere.csv"\nitems = "items.csv"'
    config.write_text(config.read_text().replace('source = "movielens"', source))

    assert again(results) == 1

    assert "chain.md: left out" in capsys.readouterr().out


def test_a_folder_without_reports_is_no_success(tmp_path: Path) -> None:
    assert again(tmp_path) == 1
