"""What was measured once and is kept beside the report: a file per run, `runs/<data>/<stamp>.npz`.

A run is a trained student or a tuned baseline with the ranks it gave to the held-out items: all
that the figures of a report and their intervals are computed from. Its stamp is the fingerprint of
everything that decides it, so a run that several rows share, or a second ladder with other rows,
finds it there.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.data.dataset import Dataset, Split
from training.distillation.engine import engine_at_hand
from training.distillation.job import Job
from training.distillation.variants import DISTILLED
from training.evaluation.baselines import popularity, tuned_transitions
from training.evaluation.session_neighbours import tuned_session_neighbours
from training.evaluation.yardstick import Evaluation, Scorer, evaluate, ranker_of
from training.provenance import commit
from training.stage import fingerprint, write_arrays_atomically
from training.students.scorer import StudentScorer

BASELINES: Mapping[str, Callable[[Dataset], Scorer]] = {
    "popularity": popularity,
    "last-item": tuned_transitions,
    "VMIS-kNN": tuned_session_neighbours,
}
BASELINES_VERSION = 1  # raise it when a baseline would rank otherwise
HELD_OUT = (Split.VALIDATION, Split.TEST)


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


@dataclass(frozen=True)
class Result:
    """What a run gave.

    Attributes:
        evaluations: of every example, by split.
        commit: of the code that ran.
        seconds: training and tuning of this run alone, on the machine of `work/<name>/ladder`.
    """

    evaluations: Mapping[Split, Evaluation]
    seconds: float
    commit: str


@dataclass(frozen=True)
class Shelf:
    """Where runs are kept.

    Attributes:
        results: of what was measured.
        states: of what is being trained, and of finished training that another run goes on from.
    """

    results: Path
    states: Path

    def result_path(self, run: Run) -> Path:
        """The file of a run's result."""
        return self.results / f"{run.stamp}.npz"

    def has(self, run: Run) -> bool:
        """Whether `run` was measured before."""
        return self.result_path(run).exists()

    def result(self, run: Run) -> Result:
        """The result of a run that is here."""
        with np.load(self.result_path(run)) as kept:
            facts = json.loads(str(kept["facts"]))
            evaluations = {
                split: Evaluation(
                    run.dataset.example_rows(split), kept[split.name.lower()].astype(np.int64)
                )
                for split in HELD_OUT
            }
        return Result(evaluations, facts["seconds"], facts["commit"])


def goes_on(run: Run) -> bool:
    """Whether `run` does something after the epochs of another, and best comes after it."""
    return isinstance(run, Job) and run.training_stamp != run.stamp


def perform(run: Run, shelf: Shelf) -> str:
    """Trains and measures, or goes on from what a killed or another run left; returns the stamp."""
    if isinstance(run, Job):
        _train(run, shelf)
    else:
        began = time.perf_counter()
        scorer = BASELINES[run.name](run.dataset)
        _keep(run, scorer, shelf, baseline=run.name, seconds=time.perf_counter() - began)
    return run.stamp


def _train(job: Job, shelf: Shelf) -> None:
    state_path = shelf.states / f"{job.training_stamp}.state"
    trainer = job.trainer(engine_at_hand())
    label = f"{job.experiment.student.kind} {job.name} {job.stamp[:6]}"
    progress = trainer.train(state_path, label)
    _keep(
        job,
        StudentScorer(trainer.student, job.dataset),
        shelf,
        student=f"{job.experiment.student.kind} {job.name}",
        best_epoch=progress.best_epoch,
        cold_bonus=progress.cold_bonus,
        seconds=progress.seconds,
    )
    if job.variant != DISTILLED:  # from which the run with a cold bonus goes on
        state_path.unlink()


def _keep(run: Run, scorer: Scorer, shelf: Shelf, **facts: object) -> None:
    ranker = ranker_of(scorer, run.dataset)
    ranks = {
        split.name.lower(): evaluate(ranker, run.dataset, run.dataset.example_rows(split)).ranks
        for split in HELD_OUT
    }
    write_arrays_atomically(
        shelf.result_path(run),
        facts=np.array(json.dumps({**facts, "commit": commit()})),
        **{name: each.astype(np.uint8) for name, each in ranks.items()},
    )
