from argparse import Namespace
from pathlib import Path

import pytest

from training.cli import program_parser, run
from training.errors import DataError
from training.settings.experiment import Experiment
from training.workplace import Workplace


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text('name = "tiny"\n[data]\nsource = "movielens"\n')
    return path


def test_a_stage_gets_its_experiment_and_its_folders(config: Path) -> None:
    calls: list[tuple[str, Path]] = []

    def stage(experiment: Experiment, workplace: Workplace, _: Namespace) -> None:
        calls.append((experiment.name, workplace.dataset))

    code = run(stage, program_parser("training.x", "x"), [str(config), "--work", "here"])

    assert code == 0
    assert calls == [("tiny", Path("here/tiny/dataset"))]


def test_a_training_error_is_one_line_and_exit_code_2(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def stage(_: Experiment, __: Workplace, ___: Namespace) -> None:
        raise DataError("items.csv: two\nlines")

    code = run(stage, program_parser("training.x", "x"), [str(config)])

    assert code == 2
    assert capsys.readouterr().err == "error: items.csv: two lines\n"


def test_a_missing_experiment_file_is_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def stage(_: Experiment, __: Workplace, ___: Namespace) -> None:
        raise AssertionError

    assert run(stage, program_parser("training.x", "x"), [str(tmp_path / "no.toml")]) == 2
    assert "no.toml: no such experiment file" in capsys.readouterr().err
