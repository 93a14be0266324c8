"""Reports again: every one by the command that it names, of what is kept, beside the first.

python -m training.ladder.reports docs/results
"""

import re
import shlex
import shutil
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from difflib import unified_diff
from pathlib import Path
from tempfile import TemporaryDirectory

from training.config import Experiment, load_experiment
from training.ladder.__main__ import main as climb
from training.prepare import prepare
from training.program import Workplace, say

COMMAND = re.compile(r"^- command: `python -m training\.ladder (.+)`$", re.MULTILINE)
OF_ITS_MAKING = ("- command: ", "- commit: ", "- date: ")  # as they were when it was made first
MOST_TOLD = 12


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns 1 where a figure would be another or a report cannot be made."""
    parser = ArgumentParser(prog="python -m training.ladder.reports")
    parser.add_argument("results", type=Path, help="folder of the reports and their runs")
    parser.add_argument(
        "--work", type=Path, default=Path("work"), help="folder of datasets (default: work)"
    )
    options = parser.parse_args(arguments)
    same = [_is_same(report, options) for report in sorted(options.results.glob("*.md"))]
    return 0 if same and all(same) else 1


def _is_same(report: Path, options: Namespace) -> bool:
    command = COMMAND.search(report.read_text(encoding="utf-8"))
    if command is None:
        say(f"{report}: names no command")
        return False
    named = shlex.split(command[1])
    experiment = load_experiment(Path(named[0]))
    source = experiment.data.interactions
    if source is not None and not source.exists():
        say(f"{report}: left out, {source} is not here")
        return True
    workplace = Workplace(options.work / experiment.name)
    prepare(experiment, workplace, options)
    with TemporaryDirectory() as folder:
        out = _beside(report, experiment, Path(folder))
        if climb([*named, "--kept", "--work", str(options.work), "--out", str(out)]):
            say(f"{report}: cannot be made")
            return False
        changes = list(_changes(report, out))
    say("\n".join(changes[:MOST_TOLD]) if changes else f"{report}: the same")
    return not changes


def _beside(report: Path, experiment: Experiment, folder: Path) -> Path:
    """Another folder for the report, with all that is kept for it."""
    shutil.copytree(report.parent / "runs" / experiment.name, folder / "runs" / experiment.name)
    return folder


def _changes(report: Path, again: Path) -> Iterator[str]:
    for name in (report.name, report.with_suffix(".csv").name):
        before, after = (_figures(folder / name) for folder in (report.parent, again))
        yield from unified_diff(before, after, str(report.parent / name), "again", lineterm="", n=0)


def _figures(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith(OF_ITS_MAKING)]


if __name__ == "__main__":
    sys.exit(main())
