"""The registry of baselines that every student is compared with.

The table of `evaluate`, the ladder and the manifest of a bundle show all of `BASELINES`. A baseline
that is added here appears in each of them.
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
"""Maps the name of a baseline to the function that tunes it on the validation examples.

The function returns the baseline's scorer.
"""


BASELINES_VERSION = 1  # increment when a code change alters the ranks of a baseline
