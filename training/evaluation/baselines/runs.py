"""The baselines, tuned and measured once per dataset: their ranks are kept as files.

`evaluate` writes them to `work/<name>/baselines`; the export reads them there. Tuning
VMIS-kNN on a large dataset takes minutes.
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
"""Ranks on all examples of each held-out split."""


@dataclass(frozen=True)
class BaselineRun:
    """A baseline of the registry on one dataset, to be tuned and measured."""

    name: str
    dataset: Dataset

    @property
    def stamp(self) -> str:
        """The fingerprint of everything that decides its ranks."""
        return fingerprint(BASELINES_VERSION, self.name, self.dataset.fingerprint)

    def tune(self) -> "TunedBaseline":
        """Tunes the baseline on the validation examples."""
        began = time.perf_counter()
        scorer = BASELINES[self.name](self.dataset)
        return TunedBaseline(scorer, time.perf_counter() - began)


@dataclass(frozen=True)
class TunedBaseline:
    """A baseline that can score, and the seconds its tuning took."""

    scorer: Scorer
    seconds: float


def baseline_evaluations(dataset: Dataset, folder: Path) -> Mapping[str, BySplit]:
    """Ranks of every baseline of `BASELINES`, by name, in the order of the registry.

    A baseline whose file in `folder` is current is read. Any other is tuned, measured and saved
    there, so a second call, or the export after `evaluate`, tunes nothing.

    Args:
        dataset: with validation examples, which tuning needs, and test examples.
        folder: of the files, one a baseline; `Workplace.baselines`.
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
    """The saved ranks; None where the file is missing, damaged or of another stamp."""
    try:
        if file.facts().get("stamp") != stamp:
            return None
        return {split: file.evaluation(split) for split in HELD_OUT}
    except ResultError:
        return None
