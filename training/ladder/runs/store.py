"""What was measured once and is kept beside the report: a file per run, `runs/<data>/<stamp>.npz`.

A run is a trained student or a tuned baseline with the ranks it gave to the held-out items: all
that the figures of a report and their intervals are computed from. Its stamp is the fingerprint of
everything that decides it, so a run that several rows share, or a second ladder with other rows,
finds it there.
"""

import json
import time
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import HELD_OUT, Dataset, Split
from training.distillation.distributed import available_processes
from training.distillation.job import Job
from training.errors import ResultError
from training.evaluation.baselines import BASELINES
from training.evaluation.yardstick import Evaluation, Scorer, evaluate, ranker_of
from training.provenance import commit
from training.stage import fingerprint, write_arrays
from training.students.scorer import StudentScorer

# What numpy and zipfile raise of a file that is not what it was.
DAMAGE = (
    *(OSError, ValueError, KeyError, EOFError, NotImplementedError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)
BASELINES_VERSION = 1  # raise it when a baseline would rank otherwise


@dataclass(frozen=True)
class BaselineRun:
    """A baseline, to be tuned and measured."""

    name: str
    dataset: Dataset

    @property
    def stamp(self) -> str:
        """The fingerprint of everything that decides its ranks."""
        return fingerprint(BASELINES_VERSION, self.name, self.dataset.fingerprint)


Run = BaselineRun | Job


class HasStamp(Protocol):
    """What has a file on the shelf."""

    @property
    def stamp(self) -> str:
        """Its name there."""
        ...

    @property
    def dataset(self) -> Dataset:
        """Whose held-out examples are ranked."""
        ...


@dataclass(frozen=True)
class RunFacts:
    """What is told of a run beside its ranks.

    Attributes:
        name: of the student or the baseline, for people.
        seconds: training and tuning of this run alone.
        machine: where that was, and beside how many others.
        commits: of the code that ran.
        best_epoch: whose student was measured; 0 of a baseline.
        cold_bonus: what their place adds to the scores of cold items, on average; None where they
            were left as they are.
    """

    name: str
    seconds: float
    machine: str
    commits: Sequence[str]
    best_epoch: int = 0
    cold_bonus: float | None = None


@dataclass(frozen=True)
class RunStore:
    """Where runs are kept.

    Attributes:
        results: of what was measured.
        states: of what is being trained, and of training that others of this ladder go on from.
        machine: that adds to them.
    """

    results: Path
    states: Path
    machine: str

    def result_path(self, run: HasStamp) -> Path:
        """The file of a run's result."""
        return self.results / f"{run.stamp}.npz"

    def has(self, run: HasStamp) -> bool:
        """Whether `run` was measured before."""
        return self.result_path(run).exists()

    def facts(self, run: Run) -> RunFacts:
        """What is told of a run that is here.

        Raises:
            ResultError: its file is damaged.
        """
        try:
            return RunFacts(**self.told(run))
        except TypeError as error:
            raise self.damaged(run) from error

    def told(self, run: HasStamp) -> dict[str, Any]:
        """The same of anything kept here, as it was written."""
        try:
            told: dict[str, Any] = json.loads(str(self._read(run, "facts")))
        except ValueError as error:
            raise self.damaged(run) from error
        return told

    def evaluation(self, run: Run, split: Split) -> Evaluation:
        """How a run that is here ranked the examples of one split; the other stays unread.

        Raises:
            ResultError: its file is damaged.
        """
        return Evaluation(
            run.dataset.example_rows(split), self.ranks(run, split.name.lower(), split)
        )

    def ranks(self, run: HasStamp, name: str, split: Split) -> NDArray[np.int64]:
        """`[examples of split]`, kept as `name` of anything here."""
        ranks = self._read(run, name)
        if ranks.shape != run.dataset.example_rows(split).shape:
            raise self.damaged(run)
        return ranks.astype(np.int64)

    def keep(self, run: Run, scorer: Scorer, facts: RunFacts) -> None:
        """Has `scorer`, what the run made, rank the held-out items, and keeps the ranks."""
        ranker = ranker_of(scorer, run.dataset)
        ranks = {
            split.name.lower(): evaluate(ranker, run.dataset, run.dataset.example_rows(split)).ranks
            for split in HELD_OUT
        }
        write_arrays(
            self.result_path(run),
            facts=np.array(json.dumps(asdict(facts))),
            **{name: each.astype(np.uint8) for name, each in ranks.items()},
        )

    def forget_training(self, runs: Iterable[Run]) -> None:
        """Removes the states of `runs`: all that go on from them are measured."""
        for each in runs:
            if isinstance(each, Job):
                self.state_path(each).unlink(missing_ok=True)

    def state_path(self, job: Job) -> Path:
        """Where the epochs of `job` are kept, which other jobs may share."""
        return self.states / f"{job.training_stamp}.state"

    def damaged(self, run: HasStamp) -> ResultError:
        """The error that names a file which is no whole result."""
        return ResultError(
            f"{self.result_path(run)}: not a whole run of {run.dataset.name!r}; without that file "
            "the same command makes it again"
        )

    def _read(self, run: HasStamp, name: str) -> NDArray[np.generic]:
        try:
            with self.result_path(run).open("rb") as file, np.load(file) as kept:
                array: NDArray[np.generic] = kept[name]
                return array
        except DAMAGE as error:
            raise self.damaged(run) from error


def goes_on(run: Run) -> bool:
    """Whether `run` does something after the epochs of another, and best comes after it."""
    return isinstance(run, Job) and run.training_stamp != run.stamp


def perform(run: Run, shelf: RunStore) -> str:
    """Trains and measures, or goes on from what a killed or another run left; returns the stamp."""
    if isinstance(run, Job):
        _train(run, shelf)
    else:
        began = time.perf_counter()
        scorer = BASELINES[run.name](run.dataset)
        seconds = time.perf_counter() - began
        shelf.keep(run, scorer, RunFacts(run.name, seconds, shelf.machine, [commit()]))
    return run.stamp


def _train(job: Job, shelf: RunStore) -> None:
    name = f"{job.experiment.student.kind} {job.name}"
    trainer = job.trainer(available_processes())
    progress = trainer.train(shelf.state_path(job), f"{name} {job.stamp[:6]}")
    facts = RunFacts(
        name,
        progress.seconds,
        shelf.machine,
        progress.commits,
        progress.best_epoch,
        progress.cold_bonus,
    )
    shelf.keep(job, StudentScorer(trainer.student, job.dataset), facts)
