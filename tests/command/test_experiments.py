from pathlib import Path

import pytest

from distilled_recommender.app import main
from export.contract.log import live_figures
from export.contract.log.live_figures import load_report
from tests.training.event_log import impression, write
from training.events.log_folder import LogFolder

BUNDLE = Path(__file__).parents[2] / "assets/movielens/bundle"


def test_more_figures_than_the_service_reads_are_refused_with_the_setting_that_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log, path = LogFolder(str(tmp_path / "log")), tmp_path / "experiments.json"
    rows = [impression(name, None, 1) | {"model_version": name} for name in "ab"]
    write(log, "impression", rows)
    monkeypatch.setattr(live_figures, "MAX_FIGURES", 1)
    assert main(["experiments", log.address, "--output", str(path)]) == 2
    assert "2 figures, at most 1 are read; count fewer days with --days" in capsys.readouterr().err
    assert not path.exists()


@pytest.mark.parametrize(
    "options",
    [["--days", "30000"], ["--days", "1", "--bundle", str(BUNDLE), "--drift-hours", "1e6"]],
)
def test_a_time_before_1970_is_looked_back_to_1970_and_the_service_can_read_the_report(
    options: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "experiments.json"
    assert main(["experiments", str(tmp_path / "log"), "--output", str(path), *options]) == 0
    report = load_report(path)
    assert 0 in (report.begin, report.drift and report.drift.begin)


@pytest.mark.parametrize("days", ["inf", "1e300"])
def test_a_time_that_no_log_has_is_refused(
    days: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "experiments.json"
    assert main(["experiments", str(tmp_path), "--output", str(path), "--days", days]) == 2
    assert "Must be <= 1000000." in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_told_and_nothing_is_left_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "folder"
    output.mkdir()
    assert main(["experiments", str(tmp_path / "log"), "--output", str(output)]) == 2
    assert capsys.readouterr().err == f"error: --output {output}: Is a directory\n"
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]
