"""Tunes and measures the baselines once per dataset, and stores their ranks.

`evaluate` writes the ranks to `work/<name>/baselines`, and the export reads them there. The ranks
are stored because tuning a kNN baseline on a large dataset takes minutes. A refitted baseline is
tuned on validation and then fitted on training and validation rows.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from training.data.dataset import Dataset, Split
from training.errors import ResultError
from training.evaluation.baselines.registry import BASELINES, FITTED, VERSIONS
from training.evaluation.rank_files import RankFile, held_out_ranks
from training.evaluation.yardstick import Evaluation, Scorer
from training.provenance import commit, hardware
from training.stage import fingerprint

BySplit = Mapping[Split, Evaluation]
"""The ranks of one ranker on all examples of each held-out split."""


@dataclass(frozen=True)
class BaselineRun:
    """A baseline to tune, fit and measure on one dataset.

    Attributes:
        name: name of the baseline, a key of `BASELINES`.
        dataset: dataset that the baseline is fitted and measured on; for a refit, a view.
        tuned_on: dataset whose validation examples choose the settings of a refit; None for
            `dataset`.
    """

    name: str
    dataset: Dataset
    tuned_on: Dataset | None = None

    def refitted(self) -> "BaselineRun":
        """Returns the refit of this run: tuned as before, and fitted on validation rows, too."""
        return BaselineRun(self.name, self.dataset.under("refit"), self.dataset)

    @property
    def is_refit(self) -> bool:
        """Whether this is a refit: fitted on validation rows too, after they chose the settings."""
        return self.tuned_on is not None

    @property
    def stamp(self) -> str:
        """Stamp of the ranks: hash of the baseline's name, its version and the dataset."""
        return fingerprint(VERSIONS[self.name], self.name, self.dataset.fingerprint)

    def tune(self) -> "TunedBaseline":
        """Tunes the baseline on the validation examples, fits it, and measures the time of both."""
        began = time.perf_counter()
        scorer = BASELINES[self.name](self.tuned_on or self.dataset, self.dataset)
        settings = getattr(scorer, "settings", None)
        chosen = asdict(settings) if settings is not None else {}
        return TunedBaseline(scorer, time.perf_counter() - began, chosen)

    def fitted(self, settings: Mapping[str, object]) -> Scorer:
        """Returns the scorer of the baseline with the `settings` that an earlier tuning chose.

        A baseline that is not in `FITTED` is tuned again, which takes little time.
        """
        if self.name in FITTED:
            return FITTED[self.name](self.dataset, settings)
        return BASELINES[self.name](self.tuned_on or self.dataset, self.dataset)


@dataclass(frozen=True)
class TunedBaseline:
    """The result of tuning and fitting a baseline.

    Attributes:
        scorer: the fitted baseline.
        seconds: time that tuning and fitting took, in seconds.
        settings: the chosen settings by name; empty for baselines that are not in `FITTED`.
    """

    scorer: Scorer
    seconds: float
    settings: Mapping[str, object]


def baseline_evaluations(
    dataset: Dataset, folder: Path, *, refitted: bool = False
) -> Mapping[str, BySplit]:
    """Returns the ranks of every baseline by name, in the order of `BASELINES`.

    Ranks whose file in `folder` is up to date are read. Any other baseline is tuned and measured,
    and its ranks are saved in `folder`. So a second call tunes nothing.

    Args:
        dataset: dataset with validation examples, which tuning needs, and test examples.
        folder: folder of the files, one per baseline; `Workplace.baselines`.
        refitted: whether the baselines are refitted; they then have ranks of test examples only.
    """
    return {
        run.name: _read_current(run, folder) or _measured(run, folder)
        for run in _runs(dataset, refitted=refitted)
    }


def stored_evaluations(
    dataset: Dataset, folder: Path, *, refitted: bool = False
) -> Mapping[str, BySplit]:
    """Returns the ranks of the baselines whose file is up to date, as `baseline_evaluations` does.

    Nothing is tuned or measured.
    """
    runs = _runs(dataset, refitted=refitted)
    found = {run.name: _read_current(run, folder) for run in runs}
    return {name: each for name, each in found.items() if each is not None}


def _runs(dataset: Dataset, *, refitted: bool) -> list[BaselineRun]:
    runs = [BaselineRun(name, dataset) for name in BASELINES]
    return [run.refitted() for run in runs] if refitted else runs


def _file(run: BaselineRun, folder: Path) -> RankFile:
    name = f"{run.name}-refit" if run.is_refit else run.name
    return RankFile(folder / f"{name}.npz", run.dataset)


def _measured(run: BaselineRun, folder: Path) -> BySplit:
    file, tuned = _file(run, folder), run.tune()
    facts = {"stamp": run.stamp, "name": run.name, "seconds": tuned.seconds}
    facts |= {"settings": tuned.settings}
    ranks = held_out_ranks(tuned.scorer, run.dataset, run.name)
    file.save(facts | {"machine": hardware(), "commits": [commit()]}, ranks)
    return file.evaluations()


def _read_current(run: BaselineRun, folder: Path) -> BySplit | None:
    """Reads the saved ranks; returns None if the file is missing, damaged or has another stamp."""
    file = _file(run, folder)
    try:
        if file.facts().get("stamp") != run.stamp:
            return None
        return file.evaluations()
    except ResultError:
        return None
