"""The registry of baselines that every student is compared with.

The table of `evaluate`, the ladder and the manifest of a bundle show all of `BASELINES`. A baseline
that is added here appears in each of them.
"""

from collections.abc import Mapping
from typing import Protocol

from training.data.dataset import Dataset
from training.evaluation.baselines.counts import popularity, tuned_transitions
from training.evaluation.baselines.session_neighbours import tuned_session_neighbours
from training.evaluation.yardstick import Scorer


class Tuning(Protocol):
    """A function that tunes a baseline and fits it."""

    def __call__(self, dataset: Dataset, fitted_on: Dataset | None = None) -> Scorer:
        """Returns the scorer of the baseline.

        Args:
            dataset: dataset whose validation examples choose the settings.
            fitted_on: view whose TRAIN rows the scorer is fitted on, for a refit; None for
                `dataset`.
        """
        ...


BASELINES: Mapping[str, Tuning] = {
    "popularity": popularity,
    "last-item": tuned_transitions,
    "VMIS-kNN": tuned_session_neighbours,
}
"""Maps the name of a baseline to the function that tunes it on the validation examples."""


BASELINES_VERSION = 1  # increment when a code change alters the ranks of a baseline
