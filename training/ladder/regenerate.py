"""Checks each report in a folder: regenerates it from stored ranks, and compares old and new.

A report names the command that wrote it. The command is run again with `--kept` and a temporary
`--out`, and the Markdown and both CSV files are compared line by line.

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
from training.prepare import prepare
from training.settings.experiment import Experiment
from training.settings.options import WORK, Work
from training.workplace import open_experiment

COMMAND = re.compile(r"^- command: `python -m training\.ladder (.+)`$", re.MULTILINE)
NOT_COMPARED = ("- command: ", "- commit: ", "- date: ")  # lines that differ from run to run
MAX_SHOWN_CHANGES = 12


class ReportComparison(Enum):
    """The outcome of regenerating one report: same, changed, impossible or left out."""

    SAME = "the same"
    OTHER = "changed"
    IMPOSSIBLE = "cannot be regenerated"
    LEFT_OUT = "left out, as its interactions file is missing"


Results = Annotated[Path, Parameter(help="Folder of the reports and of their stored runs.")]


def command(results: Results, /, *, work: Work = WORK) -> int:
    """Regenerate every report of a folder and compare old and new.

    The exit code is 0 if at least one report was regenerated and none has changed, else 1.
    """
    outcomes = {each: _regenerate(each, work) for each in sorted(results.glob("*.md"))}
    for report, outcome in outcomes.items():
        say(f"{report}: {outcome.value}")
    made = {each for each in outcomes.values() if each is not ReportComparison.LEFT_OUT}
    return 0 if made == {ReportComparison.SAME} else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command with `arguments`, by default those of the process; returns the exit code."""
    return run(command, "training.ladder.regenerate", arguments)


def _regenerate(report: Path, work: Path) -> ReportComparison:
    """Regenerates `report` in a temporary folder, and compares old and new.

    If the report cannot be regenerated, prints the error and returns `IMPOSSIBLE`. `work` is the
    folder of the datasets and the teachers' knowledge.
    """
    try:
        return _compare(report, work)
    except (TrainingError, OSError) as error:
        say(f"{report}: {error}")
    return ReportComparison.IMPOSSIBLE


def _compare(report: Path, work: Path) -> ReportComparison:
    found = COMMAND.search(report.read_text(encoding="utf-8"))
    if found is None:
        raise ResultError("no line `- command: `python -m training.ladder …``")
    arguments = parse(ladder.command, shlex.split(found[1]))
    experiment, workplace = open_experiment(arguments["config"], work)
    source = experiment.data.interactions
    if source is not None and not source.exists():
        return ReportComparison.LEFT_OUT
    prepare(experiment, workplace)
    with TemporaryDirectory() as folder:
        out = Path(folder)
        _copy_runs(report, experiment, out)
        ladder.run_ladder(experiment, workplace, replace(arguments["options"], kept=True, out=out))
        changes = list(_changes(report, out))
    say("\n".join(changes[:MAX_SHOWN_CHANGES]))
    return ReportComparison.OTHER if changes else ReportComparison.SAME


def _copy_runs(report: Path, experiment: Experiment, folder: Path) -> None:
    runs = report.parent / "runs" / experiment.name
    shutil.copytree(runs, folder / "runs" / experiment.name)


def _changes(report: Path, folder: Path) -> Iterator[str]:
    """Yields a line-by-line diff of a report and its CSV files against the new ones in `folder`."""
    for name in (report.name, f"{report.stem}.csv", f"{report.stem}-pairs.csv"):
        before, after = (_compared_lines(each / name) for each in (report.parent, folder))
        yield from unified_diff(before, after, str(report.parent / name), "again", lineterm="", n=0)


def _compared_lines(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith(NOT_COMPARED)]


if __name__ == "__main__":
    sys.exit(main())
