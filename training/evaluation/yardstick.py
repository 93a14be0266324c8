"""The yardstick: ranks the full catalog for every example and averages the metrics.

It takes any callable, so the torch student, a baseline, stored teacher answers and the exported
bundle are measured by the same lines.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

LIST_LENGTH = 20


class Ranker(Protocol):
    """Anything that ranks: example rows in, best items out, seen items left out."""

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.integer]:
        """Returns `[rows, LIST_LENGTH]` item indices, best first."""
        ...
