import errno
from pathlib import Path
from typing import Annotated

import pytest
from cyclopts import Parameter

from training.cli import parse, run
from training.errors import ConfigError, DataError
from training.settings.options import WORK, Config, Seeds, Work, Workers
from training.workplace import open_experiment


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text('name = "tiny"\n[data]\nsource = "movielens"\n')
    return path


def command(
    config: Config,
    /,
    *,
    work: Work = WORK,
    seeds: Annotated[Seeds, Parameter(help="Seeds.")] = (),
    workers: Workers = None,
) -> int | None:
    """A program of this test."""
    if config.name == "bad.toml":
        raise DataError("items.csv: two\nlines")
    if config.name == "full.toml":
        raise OSError(errno.ENOSPC, "No space left on device", "work/bundle")
    assert isinstance(work, Path)
    assert all(isinstance(each, int) for each in seeds)
    return workers


def test_a_program_gets_its_experiment_and_its_folders(config: Path) -> None:
    experiment, workplace = open_experiment(config, Path("here"))

    assert experiment.name == "tiny"
    assert workplace.dataset == Path("here/tiny/dataset")


def test_options_become_the_parameters_of_the_command(config: Path) -> None:
    values = parse(command, ["--seeds", "0", "1", "--work", "here", str(config)])

    assert values == {"config": config, "work": Path("here"), "seeds": (0, 1), "workers": None}


def test_a_command_ends_with_exit_code_0_or_with_its_own(config: Path) -> None:
    assert run(command, "training.x", [str(config)]) == 0
    assert run(command, "training.x", [str(config), "--workers", "1"]) == 1


def test_an_error_of_the_user_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(command, "training.x", ["bad.toml"]) == 2
    assert capsys.readouterr().err == "error: items.csv: two lines\n"


def test_an_error_of_the_disk_is_one_line_that_names_the_file_and_exit_code_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(command, "training.x", ["full.toml"]) == 2
    problem = f"[Errno {errno.ENOSPC}] No space left on device: 'work/bundle'"
    assert capsys.readouterr().err == f"error: {problem}\n"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "CONFIG"),
        (["a.toml", "b.toml"], "b.toml"),
        (["a.toml", "--sort"], "--sort"),
        (["a.toml", "--seeds"], "--seeds"),
        (["a.toml", "--seeds", "one"], '"one"'),
        (["a.toml", "--workers", "0"], "Must be >= 1"),
    ],
)
def test_a_wrong_option_is_named_on_one_line_and_is_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str
) -> None:
    assert run(command, "training.x", arguments) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert problem in line
    with pytest.raises(ConfigError):
        parse(command, arguments)


def test_a_missing_experiment_is_an_error_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.toml: no such experiment file"):
        open_experiment(tmp_path / "no.toml", WORK)
