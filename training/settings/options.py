"""Command-line options that several programs share, each defined here once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from training.errors import ConfigError
from training.settings.section import MAX_SEED, each_once
from training.settings.teacher import TeacherKind

WORK = Path("work")

Config = Annotated[Path, Parameter(help="Experiment file, e.g. configs/movielens.toml.")]
Work = Annotated[Path, Parameter(help="Folder of all results.", show_default=True)]
Kind = Annotated[
    TeacherKind | None, Parameter(help="Kind of teacher, instead of the experiment's teacher.kind.")
]
Workers = Annotated[
    int | None,
    Parameter(
        help="Students trained in parallel; by default one per core, 1 = in this process.",
        validator=Number(gte=1),
    ),
]
Seeds = Annotated[
    tuple[int, ...], Parameter(consume_multiple=1, validator=Number(gte=0, lte=MAX_SEED))
]
"""Type of an option with one or more seeds, as in `--seeds 0 1 2`; each program adds the help."""


def distinct_seeds(given: Sequence[int]) -> tuple[int, ...]:
    """Verifies that the seeds of a command-line option are distinct, and returns them.

    The result is empty if the option was not given.

    Raises:
        ConfigError: a seed is given twice, so it would be trained and counted twice.
    """
    try:
        return each_once(tuple(given))
    except ValueError as error:
        raise ConfigError(f"seeds {error}") from None
