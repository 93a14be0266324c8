"""Measures the CPU time of a training step beside that of an earlier commit.

Each version and each choice of settings has a process and a thread of its own. They take turns of a
few steps, so a busy machine slows all of them. The dataset is amazon-games if it is in the work
folder, else MovieLens, for which there is no target. Students have no teacher; `epoch_cost`
measures what a teacher adds.
"""

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import IO

from benchmarks.errors import BenchmarkError
from benchmarks.options import ROOT, Options
from benchmarks.results.figures import Figure, Findings
from training.workplace import Workplace

REFERENCE = "c4abec0"  # the earlier commit
FOLDERS = ("training", "export", "configs")  # that a training step of the earlier commit needs
PROGRAM = ROOT / "benchmarks" / "subjects" / "training_steps.py"
CONFIGS = ("amazon-games-cpu", "movielens")
STEPS_PER_TURN = 5
AS_CONFIGURED, PACKED, THINNED = "as configured", "packed windows", "packed windows, 40 % scored"
# For each name in the report: settings of training that differ from the experiment's.
SETTINGS: Mapping[str, Mapping[str, float]] = {
    AS_CONFIGURED: {},
    PACKED: {"packed_windows": True},
    THINNED: {"packed_windows": True, "scored_share": 0.4},
}
# For amazon-games: with a catalog as small as MovieLens', there is less to leave out.
TARGETS: Mapping[str, Mapping[str, float]] = {CONFIGS[0]: {THINNED: 0.5}}


@dataclass(frozen=True)
class Stepper:
    """A process that takes training steps on request.

    Attributes:
        requests: unbuffered pipe to the standard input of the process.
        answers: pipe from its standard output.
        milliseconds: CPU time of a step in each turn so far.
    """

    requests: IO[bytes]
    answers: IO[bytes]
    milliseconds: list[float] = field(default_factory=list)

    def take_turn(self, turn: int) -> None:
        """Takes the steps of turn number `turn`, and records the CPU time of one.

        Raises:
            BenchmarkError: the process has ended.
        """
        with suppress(BrokenPipeError):  # told by the empty line that follows
            self.requests.write(b"%d %d\n" % (turn * STEPS_PER_TURN, STEPS_PER_TURN))
        if not (seconds := self.answers.readline()):
            raise BenchmarkError(f"{PROGRAM.name}: the process ended; its error stands above")
        self.milliseconds.append(float(seconds) * 1e3)


def measure(options: Options) -> Findings:
    """Measures the CPU milliseconds of a step of each subject, and ratios to the earlier commit.

    Raises:
        BenchmarkError: the history of the checkout lacks the earlier commit, or a process ended.
    """
    num_runs, num_turns = options.pick(5, quick=1), options.pick(6, quick=2)
    name, dataset = _dataset(options)
    with TemporaryDirectory() as folder, ExitStack() as stack:
        _check_out(REFERENCE, Path(folder))
        steppers = {REFERENCE: stack.enter_context(_stepper(Path(folder), name, dataset, {}))}
        for subject, settings in SETTINGS.items():
            steppers[subject] = stack.enter_context(_stepper(ROOT, name, dataset, settings))
        for turn in range(num_runs * num_turns + 1):
            for stepper in steppers.values():
                stepper.take_turn(turn)
        turns = {subject: each.milliseconds[1:] for subject, each in steppers.items()}
    conditions = {"threads": 1, "dataset": name, "steps a turn": STEPS_PER_TURN}
    made = figures(turns, num_turns, TARGETS.get(name, {}))
    return Findings(figures=tuple(made), conditions=conditions)


def figures(
    turns: Mapping[str, Sequence[float]], num_turns: int, targets: Mapping[str, float]
) -> Iterator[Figure]:
    """Yields the cost of a step of each subject, then its ratio to that of the earlier commit.

    Args:
        turns: CPU milliseconds of a step in each turn, by subject. Turns of one number were
            measured one after the other.
        num_turns: number of turns that make a run, whose value is their median.
        targets: the largest ratio that is good enough, by subject.
    """
    for subject, milliseconds in turns.items():
        runs = _medians(milliseconds, num_turns)
        yield Figure(name=f"training step, {subject}", unit="ms CPU", runs=runs)
    for subject in (each for each in turns if each != REFERENCE):
        pairs = zip(turns[subject], turns[REFERENCE], strict=True)
        runs = _medians([now / before for now, before in pairs], num_turns)
        name = f"training step over that of {REFERENCE}, {subject}"
        yield Figure(name=name, unit="times", runs=runs, at_most=targets.get(subject))


def stepper_of(process: "subprocess.Popen[bytes]") -> Stepper:
    """Returns the stepper of a process that was started with pipes and without a buffer.

    Raises:
        BenchmarkError: the process has no pipes.
    """
    if process.stdin is None or process.stdout is None:
        raise BenchmarkError(f"{PROGRAM.name}: start it with pipes to its input and output")
    return Stepper(process.stdin, process.stdout)


def _medians(values: Sequence[float], num_turns: int) -> tuple[float, ...]:
    begins = range(0, len(values), num_turns)
    return tuple(median(values[begin : begin + num_turns]) for begin in begins)


def _dataset(options: Options) -> tuple[str, Path]:
    """Returns the name of a config and the folder of its dataset, the first that exists.

    Raises:
        BenchmarkError: the work folder has no dataset.
    """
    for name in CONFIGS[1:] if options.is_quick else CONFIGS:
        folder = Workplace(options.work / name.removesuffix("-cpu")).dataset
        if folder.exists():
            return name, folder.resolve()
    raise BenchmarkError(
        f"{options.work}: no dataset; run `python -m training.prepare configs/movielens.toml`"
    )


def _check_out(commit: str, folder: Path) -> None:
    """Writes the code of an earlier commit to `folder`.

    Raises:
        BenchmarkError: the history of the checkout lacks the commit.
    """
    command = ["git", "-C", str(ROOT), "archive", commit, *FOLDERS]
    archive = subprocess.run(command, capture_output=True, check=False)  # noqa: S603, fixed arguments
    if archive.returncode:
        raise BenchmarkError(
            f"{commit}: not in the history of {ROOT}; fetch it with `git fetch --unshallow`"
        )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")


@contextmanager
def _stepper(
    root: Path, config: str, dataset: Path, settings: Mapping[str, float]
) -> Iterator[Stepper]:
    arguments = [f"configs/{config}.toml", str(dataset), json.dumps(settings)]
    process = subprocess.Popen(  # noqa: S603, fixed program
        [sys.executable, str(PROGRAM), *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    with process:
        try:
            yield stepper_of(process)
        finally:
            process.kill()
