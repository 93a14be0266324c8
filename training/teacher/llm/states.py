"""The LLM's states of histories, stored in half precision and looked up by dataset row."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, float16

from training.data.dataset import Dataset, Split, indices_among

# Settings that states depend on; they depend on the dataset, too.
SETTINGS_OF_STATES = frozenset(
    {
        *("model", "layers", "pooling", "max_titles", "overlap", "precision", "tokens_per_batch"),
        *("budget_sequences", "budget_tokens", "budget_held_out"),
    }
)


@dataclass(frozen=True)
class States:
    """The LLM's states of the histories of some examples.

    Attributes:
        rows: `[examples]`, dataset rows of the next items, ascending.
        states: `[examples, hidden]`, the pooled state of each history.
    """

    rows: NDArray[np.int64]
    states: NDArray[np.float16]

    def of(self, rows: NDArray[np.int64]) -> "States":
        """Selects the states of the examples `rows`, in this order; each must have a state."""
        return States(rows, self.states[indices_among(self.rows, rows)])

    def of_split(self, dataset: Dataset, split: Split) -> "States":
        """Selects the states of the examples of `split`; examples without a state are left out."""
        return self.of(np.intersect1d(self.rows, dataset.example_rows(split)))


def as_stored(states: Tensor) -> NDArray[np.float16]:
    """Rounds states to half precision, in which they are stored and given to the matcher."""
    return states.to("cpu", float16).numpy()
