"""What was measured once and is kept beside the report: a file per run, `runs/<data>/<stamp>.npz`.

A run is a trained student or a tuned baseline with the ranks it gave to the held-out items: all
that the figures of a report and their intervals are computed from. Its stamp is the fingerprint of
everything that decides it, so a run that several rows share, or a second ladder with other rows,
finds it there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from training.data.dataset import Dataset, Split
from training.distillation.distributed import available_processes
from training.distillation.job import Job
from training.evaluation.baseline_runs import BaselineRun
from training.evaluation.rank_files import RankFile, held_out_ranks
from training.evaluation.yardstick import Evaluation, Scorer
from training.provenance import commit
from training.students.scorer import StudentScorer

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
    """The folders of measured runs and of unfinished training.

    Attributes:
        results: holds a file of ranks for every measured run, or teacher.
        states: holds the epochs of jobs in training, and of jobs that others continue.
        machine: the hardware that runs are measured on, and how many run side by side.
    """

    results: Path
    states: Path
    machine: str

    def file(self, run: HasStamp) -> RankFile:
        """The file of a run's ranks."""
        return RankFile(self.results / f"{run.stamp}.npz", run.dataset)

    def has(self, run: HasStamp) -> bool:
        """Whether `run` was measured before."""
        return self.file(run).path.exists()

    def facts(self, run: Run) -> RunFacts:
        """The facts of a measured run.

        Raises:
            ResultError: its file is damaged.
        """
        file = self.file(run)
        try:
            return RunFacts(**file.facts())
        except TypeError as error:
            raise file.damaged() from error

    def evaluation(self, run: Run, split: Split) -> Evaluation:
        """Ranks of a measured run on one split; the other split is not read.

        Raises:
            ResultError: its file is damaged.
        """
        return self.file(run).evaluation(split)

    def save(self, run: Run, scorer: Scorer, facts: RunFacts) -> None:
        """Ranks the held-out examples by `scorer`, the result of the run, and saves the ranks."""
        self.file(run).save(asdict(facts), held_out_ranks(scorer, run.dataset))

    def state_path(self, job: Job) -> Path:
        """The file of a job's epochs; jobs that differ only in cold items share it."""
        return self.states / f"{job.training_stamp}.state"

    def forget_training(self, runs: Iterable[Run]) -> None:
        """Removes the states of `runs`; call it when all runs that continue them are measured."""
        for each in runs:
            if isinstance(each, Job):
                self.state_path(each).unlink(missing_ok=True)


def goes_on(run: Run) -> bool:
    """Whether `run` continues the epochs of another run, and so should come after it."""
    return isinstance(run, Job) and run.training_stamp != run.stamp


def perform(run: Run, shelf: RunStore) -> str:
    """Trains and measures one run, from a saved state if there is one; returns the stamp."""
    if isinstance(run, Job):
        _train(run, shelf)
    else:
        tuned = run.tune()
        facts = RunFacts(run.name, tuned.seconds, shelf.machine, [commit()])
        shelf.save(run, tuned.scorer, facts)
    return run.stamp


def _train(job: Job, shelf: RunStore) -> None:
    name = f"{job.experiment.student.kind} {job.name}"
    trained = job.train(shelf.state_path(job), f"{name} {job.stamp[:6]}", available_processes())
    progress = trained.progress
    facts = RunFacts(
        name,
        progress.seconds,
        shelf.machine,
        progress.commits,
        progress.best_epoch,
        trained.cold_bonus,
    )
    shelf.save(job, StudentScorer(trained.student, job.dataset), facts)
