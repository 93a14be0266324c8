"""Hidden states of an LLM as they are stored: half precision, found by dataset row."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, float16

from training.data.dataset import Dataset, Split, places_among

# Settings that states and their shards depend on, beside the dataset.
SETTINGS_OF_STATES = frozenset(
    {
        *("model", "layers", "pooling", "max_titles", "overlap", "precision", "tokens_per_batch"),
        *("budget_sequences", "budget_tokens", "budget_held_out"),
    }
)


@dataclass(frozen=True)
class States:
    """The LLM's state before each of some examples.

    Attributes:
        rows: `[examples]`, dataset rows of the next items, ascending.
        states: `[examples, hidden]`.
    """

    rows: NDArray[np.int64]
    states: NDArray[np.float16]

    def of(self, rows: NDArray[np.int64]) -> "States":
        """Selects the states of `rows`, in their order."""
        return States(rows, self.states[places_among(self.rows, rows)])

    def of_split(self, dataset: Dataset, split: Split) -> "States":
        """Selects the states of the examples of `split` that have one."""
        return self.of(np.intersect1d(self.rows, dataset.example_rows(split)))


def as_stored(states: Tensor) -> NDArray[np.float16]:
    """Converts states to the half precision that they are stored and matched in."""
    return states.to("cpu", float16).numpy()
