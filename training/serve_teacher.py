"""Serves the teacher over HTTP, for the slow path of the service.

python -m training.serve_teacher configs/movielens.toml
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import uvicorn
from cyclopts import Parameter
from cyclopts.validators import Number

from training.cli import run, say
from training.settings.experiment import Experiment
from training.settings.options import WORK, Config, Kind, Work
from training.teacher.live.backends import load_live_teacher
from training.teacher.live.server import create_app
from training.workplace import Workplace, open_experiment, with_teacher


@Parameter(name="*")
@dataclass(frozen=True)
class ServeTeacherOptions:
    """Command-line options of `serve-teacher`, in addition to the experiment file and `--work`."""

    kind: Kind = None
    host: Annotated[str, Parameter(show_default=True)] = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Parameter(show_default=True, validator=Number(gte=0, lte=65_535))] = 8100
    """Port to listen on."""
    threads: Annotated[int, Parameter(show_default=True, validator=Number(gte=1))] = 1
    """Number of threads of the LLM; it is many times slower with more threads than free cores."""


DEFAULTS = ServeTeacherOptions()


def command(
    config: Config, /, *, work: Work = WORK, options: ServeTeacherOptions = DEFAULTS
) -> None:
    """Serve the LLM teacher over HTTP: answer histories with its rankings."""
    serve(*open_experiment(config, work), options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs this program with `arguments` (None: `sys.argv[1:]`); returns the exit code."""
    return run(command, "training.serve_teacher", arguments)


def serve(experiment: Experiment, workplace: Workplace, options: ServeTeacherOptions) -> None:
    """Loads the teacher, and serves it over HTTP until a signal stops the process."""
    experiment = with_teacher(experiment, options.kind)
    teacher = load_live_teacher(experiment, workplace)
    say(f"{teacher.name} answers about {experiment.name} on {options.host}:{options.port}")
    app = create_app(teacher, options.threads)
    uvicorn.run(app, host=options.host, port=options.port, access_log=False)


if __name__ == "__main__":
    sys.exit(main())
