"""What was measured once and is kept: a folder per run, `ladder/runs/<stamp>`.

A run is a trained student or a tuned baseline with the ranks it gave to the held-out items. Its
stamp is the fingerprint of everything that decides it, so a run that several rows share, or a
second ladder with other rows, finds it there.
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


def perform(run: Run, folder: Path) -> str:
    """Trains and measures, or goes on with a run that was killed; returns the stamp."""
    run_stamp = run.stamp
    state_path = folder / f".{run_stamp}.state"
    if isinstance(run, Job):
        trainer = run.trainer(engine_at_hand())
        label = f"{run.experiment.student.kind} {run.name} {run_stamp[:6]}"
        progress = trainer.train(state_path, label)
        scorer: Scorer = StudentScorer(trainer.student, run.dataset)
        seconds = progress.seconds
        facts: dict[str, object] = {
            "student": run.name,
            "best_epoch": progress.best_epoch,
            "cold_bonus": progress.cold_bonus,
        }
    else:
        began = time.perf_counter()
        scorer = BASELINES[run.name](run.dataset)
        seconds, facts = time.perf_counter() - began, {"baseline": run.name}
    facts |= {"seconds": seconds, "commit": commit()}
    _save(scorer, run.dataset, facts, folder / run_stamp)
    state_path.unlink(missing_ok=True)
    return run_stamp


def _save(scorer: Scorer, dataset: Dataset, facts: Mapping[str, object], folder: Path) -> None:
    with publish(folder, folder.name) as building:
        ranker = ranker_of(scorer, dataset)
        for split in HELD_OUT:
            ranks = evaluate(ranker, dataset, dataset.example_rows(split)).ranks
            np.save(building / _ranks_name(split), ranks.astype(np.uint8))
        (building / FACTS_NAME).write_text(json.dumps(facts), encoding="utf-8")


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
