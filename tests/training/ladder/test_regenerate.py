"""The program `training.ladder.regenerate`: makes reports from stored ranks and compares them."""

import shutil
from pathlib import Path

import pytest

from training.ladder import regenerate


@pytest.fixture
def results(reported: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a report, whose knowledge has been deleted."""
    monkeypatch.setattr(regenerate, "prepare", lambda *_: None)
    shutil.rmtree(reported.parent / "work" / "chain" / "knowledge")
    return reported.parent / "results"


def regenerate_all(results: Path) -> int:
    return regenerate.main([str(results), "--work", str(results.parent / "work")])


def test_an_unchanged_report_is_the_same_and_no_file_is_written(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in results.rglob("*.*")}

    assert regenerate_all(results) == 0

    assert "chain.md: the same" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in results.rglob("*.*")} == before


@pytest.mark.parametrize("name", ["chain.md", "chain.csv"])
def test_a_figure_that_does_not_follow_from_the_stored_ranks_is_shown(
    results: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    report = results / name
    report.write_text(report.read_text().replace("1.0000", "0.9999", 1))

    assert regenerate_all(results) == 1

    output = capsys.readouterr().out
    assert "0.9999" in output
    assert name in output


def test_a_difference_that_does_not_follow_from_the_stored_ranks_is_shown(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = results / "chain-pairs.csv"
    pairs.write_text(pairs.read_text() + "CE,Caser,,popularity,,train,test,all,NDCG@20,0.9999\n")

    assert regenerate_all(results) == 1

    assert "0.9999" in capsys.readouterr().out


@pytest.mark.parametrize("rest", ["an empty folder", "nothing"])
def test_a_report_whose_runs_are_gone_cannot_be_made(
    results: Path, capsys: pytest.CaptureFixture[str], rest: str
) -> None:
    runs = results / "runs" / "chain"
    shutil.rmtree(runs)
    if rest != "nothing":
        runs.mkdir()

    assert regenerate_all(results) == 1

    assert "chain.md: cannot be regenerated" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("no command", "no line"),
        ("- command: `python -m training.ladder gone.toml`", "gone.toml: no such experiment"),
        ("- command: `python -m training.ladder {config} --rows X`", "cannot be regenerated"),
    ],
)
def test_a_report_without_a_working_command_is_named_and_the_others_are_made(
    results: Path, reported: Path, capsys: pytest.CaptureFixture[str], command: str, problem: str
) -> None:
    (results / "a.md").write_text(command.format(config=reported))

    assert regenerate_all(results) == 1

    output = capsys.readouterr().out
    assert problem in output
    assert "a.md: cannot be regenerated" in output
    assert "chain.md: the same" in output


def test_options_of_a_command_may_come_before_its_experiment(
    results: Path, reported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = results / "chain.md"
    text = report.read_text()
    named = f"training.ladder {reported}"
    report.write_text(text.replace(named, f"training.ladder --kept {reported}"))

    assert regenerate_all(results) == 0

    assert "chain.md: the same" in capsys.readouterr().out


def test_a_report_whose_data_are_missing_is_left_out_and_is_no_success_by_itself(
    results: Path, reported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = 'source = "tables"\ninteractions = "elsewhere.csv"\nitems = "items.csv"'
    reported.write_text(reported.read_text().replace('source = "movielens"', source))

    assert regenerate_all(results) == 1

    assert "chain.md: left out" in capsys.readouterr().out


def test_a_folder_without_reports_is_no_success(tmp_path: Path) -> None:
    assert regenerate_all(tmp_path) == 1
