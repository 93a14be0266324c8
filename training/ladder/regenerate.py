"""Reports again: every one by the command that it names, of what is kept, beside the first.

python -m training.ladder.regenerate docs/results
"""

import re
import shlex
import shutil
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from difflib import unified_diff
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory

from training.cli import say
from training.errors import ResultError, TrainingError
from training.ladder.__main__ import ladder_parser
from training.ladder.__main__ import main as climb
from training.prepare import prepare
from training.settings.experiment import Experiment, load_experiment
from training.workplace import Workplace

COMMAND = re.compile(r"^- command: `python -m training\.ladder (.+)`$", re.MULTILINE)
OF_ITS_MAKING = ("- command: ", "- commit: ", "- date: ")  # as they were when it was made first
MOST_TOLD = 12


class ReportComparison(Enum):
    """What became of a report."""

    SAME = "the same"
    OTHER = "says something else"
    IMPOSSIBLE = "cannot be made"
    LEFT_OUT = "left out, its data are not here"


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns 0 where reports were made again, and each says what it said."""
    parser = ArgumentParser(prog="python -m training.ladder.regenerate")
    parser.add_argument("results", type=Path, help="folder of the reports and their runs")
    parser.add_argument(
        "--work", type=Path, default=Path("work"), help="folder of datasets (default: work)"
    )
    options = parser.parse_args(arguments)
    outcomes = {each: _again(each, options.work) for each in sorted(options.results.glob("*.md"))}
    for report, outcome in outcomes.items():
        say(f"{report}: {outcome.value}")
    made = {each for each in outcomes.values() if each is not ReportComparison.LEFT_OUT}
    return 0 if made == {ReportComparison.SAME} else 1


def _again(report: Path, work: Path) -> ReportComparison:
    try:
        return _compared(report, work)
    except (TrainingError, OSError) as error:
        say(f"{report}: {error}")
    except SystemExit:  # of a command that is none, told by its parser
        pass
    return ReportComparison.IMPOSSIBLE


def _compared(report: Path, work: Path) -> ReportComparison:
    command = COMMAND.search(report.read_text(encoding="utf-8"))
    if command is None:
        raise ResultError("names no command")
    named = shlex.split(command[1])
    experiment = load_experiment(ladder_parser().parse_args(named).config)
    source = experiment.data.interactions
    if source is not None and not source.exists():
        return ReportComparison.LEFT_OUT
    prepare(experiment, Workplace(work / experiment.name), Namespace())
    with TemporaryDirectory() as folder:
        out = _beside(report, experiment, Path(folder))
        if climb([*named, "--kept", "--work", str(work), "--out", str(out)]):
            return ReportComparison.IMPOSSIBLE
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
