"""Common parts of the offline programs: options, folders, error reports.

A program is `main(arguments) -> int`, which hands its stage to `run`:

    def main(arguments: Sequence[str] | None = None) -> int:
        return run(teach, program_parser("training.teach", "Ask the teacher."), arguments)
"""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

from training.errors import ConfigError, TrainingError
from training.settings.experiment import Experiment, load_experiment
from training.settings.section import each_once
from training.settings.teacher import TeacherKind
from training.workplace import Workplace

USER_ERROR = 2


def distinct_seeds(seeds: Sequence[int] | None) -> tuple[int, ...]:
    """The seeds of an option, as a tuple; empty if the option was not given.

    Raises:
        ConfigError: a seed is given twice; it would be trained and counted twice.
    """
    try:
        return each_once(tuple(seeds or ()))
    except ValueError as error:
        raise ConfigError(f"seeds {error}") from None


Stage = Callable[[Experiment, Workplace, Namespace], None]


def program_parser(module: str, description: str) -> ArgumentParser:
    """A parser with the options of every program; a program adds its own."""
    parser = ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("config", type=Path, help="the experiment, e.g. configs/movielens.toml")
    parser.add_argument(
        "--work", type=Path, default=Path("work"), help="folder of all results (default: work)"
    )
    return parser


def teacher_parser(module: str, description: str) -> ArgumentParser:
    """`program_parser` with `--kind`, for `with_teacher`."""
    parser = program_parser(module, description)
    kinds = get_args(TeacherKind)
    parser.add_argument("--kind", choices=kinds, help="of teacher (default: teacher.kind)")
    return parser


def run(stage: Stage, parser: ArgumentParser, arguments: Sequence[str] | None = None) -> int:
    """Runs `stage` on the experiment that the options name; returns the exit code.

    A TrainingError becomes one line on stderr and exit code 2.
    """
    options = parser.parse_args(arguments)
    try:
        experiment = load_experiment(options.config)
        stage(experiment, Workplace(options.work / experiment.name), options)
    except TrainingError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return USER_ERROR
    return 0


def say(line: str) -> None:
    """Prints a line; of several processes started by torchrun, only the first prints."""
    if os.environ.get("RANK", "0") != "0":
        return
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
