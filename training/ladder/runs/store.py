"""The store of measured runs beside the report: a file of ranks each, `runs/<data>/<stamp>.npz`.

A run is a trained student or a tuned baseline, with the ranks it gave to the held-out items. All
figures of a report and their intervals are computed from these ranks. A run's stamp is the
fingerprint of everything that decides it, so a run that several rows share, or a second ladder
with other rows, finds it in the store.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from training.data.dataset import Dataset, Split
from training.distillation.job import Job
from training.evaluation.baselines.runs import BaselineRun
from training.evaluation.rank_files import RankFile, held_out_ranks
from training.evaluation.yardstick import Evaluation, Scorer

Run = BaselineRun | Job


class HasStamp(Protocol):
    """Anything with a file in the store: a run, or a reference."""

    @property
    def stamp(self) -> str:
        """The name of the file."""
        ...

    @property
    def dataset(self) -> Dataset:
        """The dataset whose held-out examples are ranked."""
        ...


@dataclass(frozen=True)
class RunFacts:
    """Facts of a run, saved beside its ranks.

    Attributes:
        name: student and job, or baseline, for people.
        seconds: training and tuning time of this run.
        machine: the hardware, and how many runs were side by side.
        commits: of the code that ran; several where training was resumed.
        best_epoch: the epoch whose student was measured; 0 for a baseline.
        cold_bonus: the average addition to the scores of cold items; None where cold items were
            left as trained.
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
        results: holds a file of ranks for every measured run or reference.
        states: holds the epochs of jobs in training, and of jobs that others continue.
        machine: the hardware that runs are measured on, and how many run side by side.
    """

    results: Path
    states: Path
    machine: str

    def file(self, run: HasStamp) -> RankFile:
        """The file of ranks of a run."""
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
        ranks = held_out_ranks(scorer, run.dataset, facts.name)
        self.file(run).save(asdict(facts), ranks)

    def state_path(self, job: Job) -> Path:
        """The file of a job's epochs; jobs that differ only in cold items share it."""
        return self.states / f"{job.training_stamp}.state"

    def forget_training(self, runs: Iterable[Run]) -> None:
        """Removes the states of `runs`; call it when all runs that continue them are measured."""
        for each in runs:
            if isinstance(each, Job):
                self.state_path(each).unlink(missing_ok=True)
