"""Stores measured runs next to the report, one file of ranks per run: `runs/<data>/<stamp>.npz`.

A run is the training of a student, the tuning of a baseline, or the measurement of a mixture. Its
file holds the ranks of the held-out examples. All figures of a report and their intervals are
computed from these ranks. The stamp is a hash of everything that decides the ranks. So
rows that need the same run share its file, and a later ladder uses it again.
"""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import Dataset, Split
from training.data.dataset import Protocol as FittedOn
from training.distillation.job import Job
from training.evaluation.baselines.runs import BaselineRun
from training.evaluation.rank_files import RankFile, held_out_ranks
from training.evaluation.yardstick import Evaluation, Scorer
from training.ladder.plan.mixtures import MixedRun

Run = BaselineRun | Job | MixedRun
Former = Literal["", "rule", "search"]
"""What was different in an older version: by which rule a student without titles reads items, how a
pair bonus was searched, or nothing."""


class HasStamp(Protocol):
    """Protocol of objects with a file of ranks: runs, references and outside witnesses."""

    @property
    def stamp(self) -> str:
        """Hash of everything that decides the ranks; they are stored in `<stamp>.npz`."""
        ...

    @property
    def dataset(self) -> Dataset:
        """Dataset whose held-out examples are ranked."""
        ...


@dataclass(frozen=True)
class RunFacts:
    """Facts about a run, saved in the file of its ranks.

    Attributes:
        name: name of the run for messages: student and job, or baseline.
        seconds: training or tuning time in seconds.
        machine: the hardware, and the number of parallel runs.
        commits: commits of the code that ran; several if training was resumed.
        best_epoch: number of the epoch whose student was measured; 0 for a baseline.
        cold_bonus: mean cold bonus that was added to the scores of cold items; None if cold items
            were left as trained.
        settings: settings that a baseline, a mixture or a student's pair bonus was tuned to; empty
            for a student without one.
        former: what was different in the older version that stored the run, see `RunStore.former`;
            empty if none did. Not saved.
        protocol: the rows that the run was fitted on; "train" in files older than refits.
    """

    name: str
    seconds: float
    machine: str
    commits: Sequence[str]
    best_epoch: int = 0
    cold_bonus: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    former: Former = ""
    protocol: FittedOn = "train"


@dataclass(frozen=True)
class RunStore:
    """The stored ranks of measured runs, and the training states of unfinished ones.

    Attributes:
        results: folder with one file of ranks per measured run or reference.
        states: folder with the training states of unfinished jobs, and of jobs whose training
            other jobs start from.
        machine: the hardware, and the number of parallel runs, saved with every run.
        former: whether a job without a stored run takes the run that an older version stored. In
            that version students without titles read every item, or a pair bonus had another
            search (`Job.former_stamp`).
        keeps_placed: whether the checkpoints of students with placed cold items are kept in
            `states`. The refits of these students read them.
    """

    results: Path
    states: Path
    machine: str
    former: bool = False
    keeps_placed: bool = False

    def file(self, run: HasStamp) -> RankFile:
        """Returns the file for the ranks of a run or reference, which may not exist yet."""
        path = self._path(run.stamp)
        if (former := self._former(run)) is not None:
            path = former
        return RankFile(path, run.dataset)

    def has(self, run: HasStamp) -> bool:
        """Returns whether the ranks of `run` are stored."""
        return self.file(run).path.exists()

    def facts(self, run: HasStamp) -> RunFacts:
        """Reads the facts about a measured run from the file of its ranks.

        Raises:
            ResultError: the file is missing or damaged.
        """
        file = self.file(run)
        try:
            return replace(RunFacts(**file.facts()), former=self._difference(run))
        except TypeError as error:
            raise file.damaged() from error

    def evaluation(self, run: HasStamp, split: Split) -> Evaluation:
        """Reads the ranks of a measured run on one split.

        The ranks of other splits are not read, so a choice by validation cannot see test ranks.

        Raises:
            ResultError: the file of the run is missing or damaged.
        """
        return self.file(run).evaluation(split)

    def save(self, run: Run, scorer: Scorer, facts: RunFacts) -> None:
        """Ranks the held-out examples with the run's `scorer`, and saves the ranks with `facts`."""
        self.save_ranks(run, held_out_ranks(scorer, run.dataset, facts.name), facts)

    def save_ranks(
        self, run: HasStamp, ranks: Mapping[str, NDArray[np.int64]], facts: RunFacts
    ) -> None:
        """Saves the ranks of `run`, together with `facts`; replaces an earlier file.

        `ranks` maps the name of a split to the ranks of its examples, `[examples]`.
        """
        saved = {name: value for name, value in asdict(facts).items() if name != "former"}
        RankFile(self._path(run.stamp), run.dataset).save(saved, ranks)

    def state_path(self, job: Job) -> Path:
        """Returns the path of the training state that a job resumes from.

        Jobs that differ only in what is fitted after training have the same path.
        """
        return self.states / f"{job.training_stamp}.state"

    def checkpoint_path(self, job: Job) -> Path:
        """Returns the folder of a job's checkpoint, which may not exist.

        The refit of the job places cold items from this checkpoint.
        """
        return self.states / f"{job.stamp}.checkpoint"

    def forget_checkpoints(self, jobs: Iterable[Job]) -> None:
        """Removes the checkpoints of `jobs`; a checkpoint that does not exist is no error.

        Call this after the refits of `jobs`, which place cold items from these checkpoints.
        """
        for each in jobs:
            shutil.rmtree(self.checkpoint_path(each), ignore_errors=True)

    def forget_training(self, runs: Iterable[Run]) -> None:
        """Removes the training states of `runs`; call it once no run needs to start from them."""
        for each in runs:
            if isinstance(each, Job):
                self.state_path(each).unlink(missing_ok=True)

    def _path(self, stamp: str) -> Path:
        return self.results / f"{stamp}.npz"

    def _difference(self, run: HasStamp) -> Former:
        if not isinstance(run, Job) or self._former(run) is None:
            return ""
        return "search" if run.training.pair_bonus else "rule"

    def _former(self, run: HasStamp) -> Path | None:
        """Returns the path of the file of ranks that an older version stored for `run`.

        Returns None if `former` is false, if `run` has a newer file, or if there is no older file.
        """
        if not self.former or not isinstance(run, Job) or self._path(run.stamp).exists():
            return None
        path = self._path(run.former_stamp)
        return path if path.exists() and run.former_stamp != run.stamp else None
