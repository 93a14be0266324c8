"""What was measured once and is kept: a folder per run, `ladder/runs/<stamp>`.

A run is a trained student or a tuned baseline with the ranks it gave to the held-out items. A
student's last epoch is kept too, for a run that goes on from it. Its stamp is the fingerprint of
everything that decides it, so a run that several rows share, or a second ladder with other rows,
finds it there.
"""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.data.dataset import Dataset, Split
from training.distillation.engine import engine_at_hand
from training.distillation.job import Job
from training.evaluation.baselines import popularity, tuned_transitions
from training.evaluation.session_neighbours import tuned_session_neighbours
from training.evaluation.yardstick import Evaluation, Scorer, evaluate, ranker_of
from training.provenance import commit
from training.stage import fingerprint, is_current, publish
from training.students.scorer import StudentScorer

BASELINES: Mapping[str, Callable[[Dataset], Scorer]] = {
    "popularity": popularity,
    "last-item": tuned_transitions,
    "VMIS-kNN": tuned_session_neighbours,
}
BASELINES_VERSION = 1  # raise it when a baseline would rank otherwise
HELD_OUT = (Split.VALIDATION, Split.TEST)
FACTS_NAME = "run.json"
TRAINING_NAME = "training.pt"


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


def is_there(run: Run, folder: Path) -> bool:
    """Whether `run` was measured before."""
    return is_current(folder / run.stamp, run.stamp)


def goes_on(run: Run) -> bool:
    """Whether `run` does something after the epochs of another, and best comes after it."""
    return isinstance(run, Job) and run.training_stamp != run.stamp


def perform(run: Run, folder: Path) -> str:
    """Trains and measures, or goes on from what a killed or another run left; returns the stamp."""
    place = folder / run.stamp
    if isinstance(run, Job):
        _train(run, place)
    else:
        began = time.perf_counter()
        scorer = BASELINES[run.name](run.dataset)
        facts: dict[str, object] = {"baseline": run.name, "seconds": time.perf_counter() - began}
        with publish(place, run.stamp) as building:
            _save(scorer, run.dataset, facts, building)
    return run.stamp


def _train(job: Job, place: Path) -> None:
    state_path = place.with_name(f".{job.stamp}.state")
    if goes_on(job) and not state_path.exists():
        _take_over(place.with_name(job.training_stamp) / TRAINING_NAME, state_path)
    trainer = job.trainer(engine_at_hand())
    label = f"{job.experiment.student.kind} {job.name} {job.stamp[:6]}"
    progress = trainer.train(state_path, label)
    facts: dict[str, object] = {
        "student": job.name,
        "best_epoch": progress.best_epoch,
        "cold_bonus": progress.cold_bonus,
        "seconds": progress.seconds,
    }
    with publish(place, job.stamp) as building:
        _save(StudentScorer(trainer.student, job.dataset), job.dataset, facts, building)
        if not goes_on(job):
            shutil.copyfile(state_path, building / TRAINING_NAME)
    state_path.unlink()


def _take_over(training: Path, state_path: Path) -> None:
    if training.exists():
        partial = state_path.with_name(f"{state_path.name}.partial")
        shutil.copyfile(training, partial)
        partial.replace(state_path)


def _save(scorer: Scorer, dataset: Dataset, facts: Mapping[str, object], folder: Path) -> None:
    ranker = ranker_of(scorer, dataset)
    for split in HELD_OUT:
        ranks = evaluate(ranker, dataset, dataset.example_rows(split)).ranks
        np.save(folder / _ranks_name(split), ranks.astype(np.uint8))
    text = json.dumps({**facts, "commit": commit()})
    (folder / FACTS_NAME).write_text(text, encoding="utf-8")


def load_result(run: Run, folder: Path) -> Result:
    """The result of a run that `is_there`."""
    place = folder / run.stamp
    facts = json.loads((place / FACTS_NAME).read_text(encoding="utf-8"))
    evaluations = {
        split: Evaluation(
            run.dataset.example_rows(split), np.load(place / _ranks_name(split)).astype(np.int64)
        )
        for split in HELD_OUT
    }
    return Result(evaluations, facts["seconds"], facts["commit"])


def _ranks_name(split: Split) -> str:
    return f"ranks-{split.name.lower()}.npy"
