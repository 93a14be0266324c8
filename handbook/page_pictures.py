"""Takes the pictures of the service's pages, with the example bundle and a real teacher.

The live tests of the pages drive the browser, Chromium; the dataset in WORK must be prepared.

python -m handbook.page_pictures docs --work work
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from distilled_recommender.files import BUNDLE, MOVIELENS, carried
from proofs.fixtures.places import ROOT
from proofs.fixtures.processes.waiting import free_port, wait_until_ready
from training.cli import run
from training.settings.options import WORK, Work

LOADING_SECONDS = 900  # of the LLM, on a busy machine

Folder = Annotated[Path, Parameter(help="Folder of the pictures.")]


def command(folder: Folder, /, *, work: Work = WORK) -> int:
    """Take the pictures of the pages, and return the exit code of the tests that took them."""
    with teacher(work) as url:
        variables = {
            "SCREENSHOTS": str(folder),
            "SCREENSHOTS_BUNDLE": str(carried(BUNDLE)),
            "SCREENSHOTS_TEACHER_URL": url,
        }
        tests = ["-m", "pytest", "-q", "tests/live", "-k", "screenshots"]
        environment = {**os.environ, **variables}
        return subprocess.run([sys.executable, *tests], cwd=ROOT, env=environment).returncode


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command with `arguments`, by default those of the process; returns the exit code."""
    return run(command, "handbook.page_pictures", arguments)


@contextmanager
def teacher(work: Path) -> Iterator[str]:
    """Serves the teacher of MovieLens for the duration of a `with` block; yields its address."""
    port = free_port()
    program = [sys.executable, "-m", "training.serve_teacher", str(MOVIELENS)]
    process = subprocess.Popen([*program, "--work", str(work), "--port", str(port)], cwd=ROOT)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(url, process, LOADING_SECONDS)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


if __name__ == "__main__":
    sys.exit(main())
