"""The registry of baselines that any student has to beat.

The table of `evaluate`, the ladder and a bundle's manifest show all of `BASELINES`. A baseline that
is added here appears in each of them.
"""

from collections.abc import Callable, Mapping

from training.data.dataset import Dataset
from training.evaluation.baselines.counts import popularity, tuned_transitions
from training.evaluation.baselines.session_neighbours import tuned_session_neighbours
from training.evaluation.yardstick import Scorer

BASELINES: Mapping[str, Callable[[Dataset], Scorer]] = {
    "popularity": popularity,
    "last-item": tuned_transitions,
    "VMIS-kNN": tuned_session_neighbours,
}
"""By the name of its row: tunes a baseline on the validation examples and returns its scorer."""


BASELINES_VERSION = 1  # raise it when a baseline would rank otherwise
