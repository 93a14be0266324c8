"""Tunes and measures the baselines once per dataset, and stores their ranks.

`evaluate` writes the ranks to `work/<name>/baselines`, where the export reads them. They are stored
because tuning VMIS-kNN on a large dataset takes minutes.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from training.data.dataset import HELD_OUT, Dataset, Split
from training.errors import ResultError
from training.evaluation.baselines.registry import BASELINES, BASELINES_VERSION
from training.evaluation.rank_files import RankFile, held_out_ranks
from training.evaluation.yardstick import Evaluation, Scorer
from training.provenance import commit, hardware
from training.stage import fingerprint

BySplit = Mapping[Split, Evaluation]
"""The ranks of one ranker on all examples of each held-out split."""


@dataclass(frozen=True)
class BaselineRun:
    """The tuning of one baseline on one dataset; `name` is a key of `BASELINES`."""

    name: str
    dataset: Dataset

    @property
    def stamp(self) -> str:
        """Fingerprint of everything that decides the baseline's ranks."""
        return fingerprint(BASELINES_VERSION, self.name, self.dataset.fingerprint)

    def tune(self) -> "TunedBaseline":
        """Tunes the baseline on the validation examples."""
        began = time.perf_counter()
        scorer = BASELINES[self.name](self.dataset)
        return TunedBaseline(scorer, time.perf_counter() - began)


@dataclass(frozen=True)
class TunedBaseline:
    """The scorer of a tuned baseline, and the seconds that tuning took."""

    scorer: Scorer
    seconds: float


def baseline_evaluations(dataset: Dataset, folder: Path) -> Mapping[str, BySplit]:
    """Returns the ranks of every baseline by name, in the order of `BASELINES`.

    Ranks whose file in `folder` is up to date are read. Any other baseline is tuned, measured and
    saved there, so a second call tunes nothing.

    Args:
        dataset: dataset with validation examples, which tuning needs, and test examples.
        folder: folder of the files, one per baseline; `Workplace.baselines`.
    """
    runs = [BaselineRun(name, dataset) for name in BASELINES]
    return {run.name: _evaluations(run, folder) for run in runs}


def _evaluations(run: BaselineRun, folder: Path) -> BySplit:
    file = RankFile(folder / f"{run.name}.npz", run.dataset)
    saved = _read_current(file, run.stamp)
    if saved is not None:
        return saved
    tuned = run.tune()
    facts = {"stamp": run.stamp, "name": run.name, "seconds": tuned.seconds}
    ranks = held_out_ranks(tuned.scorer, run.dataset, run.name)
    file.save(facts | {"machine": hardware(), "commits": [commit()]}, ranks)
    return {split: file.evaluation(split) for split in HELD_OUT}


def _read_current(file: RankFile, stamp: str) -> BySplit | None:
    """Reads the saved ranks; returns None if the file is missing, damaged or has another stamp."""
    try:
        if file.facts().get("stamp") != stamp:
            return None
        return {split: file.evaluation(split) for split in HELD_OUT}
    except ResultError:
        return None
