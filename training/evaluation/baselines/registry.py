"""The registry of baselines that every student is compared with.

The table of `evaluate`, the ladder and the manifest of a bundle show all of `BASELINES`. A baseline
that is added here appears in each of them.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from training.data.dataset import Dataset
from training.evaluation.baselines.counts import popularity, tuned_transitions
from training.evaluation.baselines.item_neighbours import (
    ItemNeighbours,
    ItemSettings,
    tuned_item_neighbours,
)
from training.evaluation.baselines.ordered_neighbours import (
    OrderedNeighbours,
    OrderedSettings,
    tuned_ordered_neighbours,
)
from training.evaluation.baselines.session_neighbours import (
    NeighbourSettings,
    SessionNeighbours,
    tuned_session_neighbours,
)
from training.evaluation.yardstick import Scorer


class Tuning(Protocol):
    """A function that tunes a baseline on validation examples, and fits it."""

    def __call__(self, dataset: Dataset, fitted_on: Dataset | None = None) -> Scorer:
        """Tunes and fits the baseline; returns its scorer.

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
    "order-aware kNN": tuned_ordered_neighbours,
    "order-aware item kNN": tuned_item_neighbours,
}
"""Maps the name of a baseline to the function that tunes and fits it."""

FITTED: Mapping[str, Callable[[Dataset, Mapping[str, Any]], Scorer]] = {
    "VMIS-kNN": lambda dataset, chosen: SessionNeighbours(dataset, NeighbourSettings(**chosen)),
    "order-aware kNN": lambda dataset, chosen: OrderedNeighbours(
        dataset, OrderedSettings(**chosen)
    ),
    "order-aware item kNN": lambda dataset, chosen: ItemNeighbours(dataset, ItemSettings(**chosen)),
}
"""Maps the name of a baseline to the function that fits it with given settings, without tuning."""

# Version of a baseline's ranks; increment it when a code change alters them.
VERSIONS: Mapping[str, int] = {
    "popularity": 1,
    "last-item": 1,
    "VMIS-kNN": 2,
    "order-aware kNN": 1,
    "order-aware item kNN": 1,
}

BASELINES_VERSION = 3  # increment when a baseline is added or its version changes
