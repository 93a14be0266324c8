"""Serves the teacher over HTTP, for the slow path of the service.

python -m training.serve_teacher configs/movielens.toml
"""

import sys
from argparse import Namespace
from collections.abc import Sequence

import uvicorn

from training.cli import run, say, teacher_parser
from training.settings.experiment import Experiment
from training.teacher.live.backends import load_live_teacher
from training.teacher.live.server import create_app
from training.workplace import Workplace, with_teacher


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    parser = teacher_parser("training.serve_teacher", "Answer histories with the LLM teacher.")
    parser.add_argument("--host", default="127.0.0.1", help="address (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8100, help="port (default: %(default)s)")
    parser.add_argument(
        "--threads",
        type=int,
        default=1,
        help="of the LLM (default: %(default)s); more than free cores make it many times slower",
    )
    return run(serve, parser, arguments)


def serve(experiment: Experiment, workplace: Workplace, options: Namespace) -> None:
    """Serves until a signal stops it; listens once the LLM is loaded."""
    experiment = with_teacher(experiment, options.kind)
    teacher = load_live_teacher(experiment, workplace)
    say(f"{teacher.name} answers about {experiment.name} on {options.host}:{options.port}")
    app = create_app(teacher, options.threads)
    uvicorn.run(app, host=options.host, port=options.port, access_log=False)


if __name__ == "__main__":
    sys.exit(main())
