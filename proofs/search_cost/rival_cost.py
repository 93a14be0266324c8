"""Measures an index of another library, in that library's own environment."""

import json
import subprocess
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.rivals import __file__ as rivals
from proofs.search_cost.search import Cost

PROGRAM = Path(rivals).with_name("vector_index.py")


def build_rival(python: Path, kind: str, folder: Path) -> None:
    """Builds an index of the files in `folder` there, unless it is there.

    Args:
        python: interpreter of an environment that has the libraries.
        kind: the index, a key of `benchmarks.rivals.vector_index.INDICES`.
        folder: the files.

    Raises:
        BenchmarkError: there is no such interpreter, or the program fails.
    """
    _run(python, kind, folder, "--build-only")


def rival_cost(python: Path, kind: str, folder: Path, min_recall: float) -> Cost:
    """Measures the searches of an index, which is built if it is not there.

    Args:
        python: interpreter of an environment that has the libraries.
        kind: the index, a key of `benchmarks.rivals.vector_index.INDICES`.
        folder: the files.
        min_recall: recall that the effort must have; if none has it, the greatest is measured.

    Raises:
        BenchmarkError: there is no such interpreter, or the program fails.
    """
    measured = json.loads(_run(python, kind, folder).splitlines()[-1])
    efforts = measured["efforts"]
    chosen = next((each for each in efforts if each["recall"] >= min_recall), efforts[-1])
    return Cost(chosen["milliseconds"], chosen["recall"], None, measured["build_seconds"])


def _run(python: Path, kind: str, folder: Path, *words: str) -> str:
    if not python.exists():
        raise BenchmarkError(f"{python}: missing; run `make .venv/indices/ready`")
    command = [str(python), str(PROGRAM), kind, str(folder), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"{kind}: {done.stderr[-500:]}")
    return done.stdout
