"""Reports again: every one by the command that it names, of what is kept, beside the first.

python -m training.ladder.regenerate docs/results
"""

import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import unified_diff
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from cyclopts import Parameter

from training.cli import parse, run, say
from training.errors import ResultError, TrainingError
from training.ladder import __main__ as ladder
from training.options import WORK, Work
from training.prepare import prepare
from training.settings.experiment import Experiment
from training.workplace import open_experiment

COMMAND = re.compile(r"^- command: `python -m training\.ladder (.+)`$", re.MULTILINE)
OF_ITS_MAKING = ("- command: ", "- commit: ", "- date: ")  # as they were when it was made first
MOST_TOLD = 12


class ReportComparison(Enum):
    """What became of a report."""

    SAME = "the same"
    OTHER = "says something else"
    IMPOSSIBLE = "cannot be made"
    LEFT_OUT = "left out, its data are not here"


Results = Annotated[Path, Parameter(help="Folder of the reports and their runs.")]


def command(results: Results, /, *, work: Work = WORK) -> int:
    """Make every report of a folder again and compare: 0 if some were made and all are the same."""
    outcomes = {each: _again(each, work) for each in sorted(results.glob("*.md"))}
    for report, outcome in outcomes.items():
        say(f"{report}: {outcome.value}")
    made = {each for each in outcomes.values() if each is not ReportComparison.LEFT_OUT}
    return 0 if made == {ReportComparison.SAME} else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return run(command, "training.ladder.regenerate", arguments)


def _again(report: Path, work: Path) -> ReportComparison:
    try:
        return _compared(report, work)
    except (TrainingError, OSError) as error:
        say(f"{report}: {error}")
    return ReportComparison.IMPOSSIBLE


def _compared(report: Path, work: Path) -> ReportComparison:
    found = COMMAND.search(report.read_text(encoding="utf-8"))
    if found is None:
        raise ResultError("names no command")
    given = parse(ladder.command, shlex.split(found[1]))
    experiment, workplace = open_experiment(given["config"], work)
    source = experiment.data.interactions
    if source is not None and not source.exists():
        return ReportComparison.LEFT_OUT
    prepare(experiment, workplace)
    with TemporaryDirectory() as folder:
        out = _beside(report, experiment, Path(folder))
        ladder.run_ladder(experiment, workplace, replace(given["options"], kept=True, out=out))
        changes = list(_changes(report, out))
    say("\n".join(changes[:MOST_TOLD]))
    return ReportComparison.OTHER if changes else ReportComparison.SAME


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
