"""Rivals: the items that a loss holds the next item against.

Without LLM embeddings an untrained item has nothing to be scored by, and standing as a negative
keeps it out of the way. With them it is scored by its title, and as a negative it would only be
pushed down by a time in which nobody could have chosen it. Then the rivals are the trained items.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.catalog import PADDING_INDEX
from training.knowledge import Answers


@dataclass(frozen=True)
class Candidates:
    """A part of the catalog, numbered anew; padding stays row 0.

    Attributes:
        rows: `[next_item_candidates + 1]`, catalog rows, ascending, the first padding.
        index_of_row: `[catalog rows]`, place in `rows`; padding's for an item that is no rival.
        train_counts: `[next_item_candidates + 1]`, training interactions.
    """

    rows: Tensor
    index_of_row: Tensor
    train_counts: NDArray[np.int64]

    def to(self, device: torch.device) -> "Candidates":
        """The same on `device`."""
        return replace(self, rows=self.rows.to(device), index_of_row=self.index_of_row.to(device))

    def table(self, table: Tensor) -> Tensor:
        """Their part of an item table, `[next_item_candidates + 1, hidden]`."""
        return table if len(self.rows) == len(table) else table[self.rows]

    def indices(self, items: Tensor) -> Tensor:
        """Their numbers, of the shape of `items`."""
        return self.index_of_row[items]


def next_item_candidates(train_counts: NDArray[np.int64], *, only_trained: bool) -> Candidates:
    """All items of `train_counts` `[catalog rows]`, or those with a training interaction."""
    stands = train_counts > 0 if only_trained else np.ones(len(train_counts), dtype=np.bool_)
    stands[PADDING_INDEX] = True
    rows = np.flatnonzero(stands)
    index_of_row = np.full(len(train_counts), PADDING_INDEX)
    index_of_row[rows] = np.arange(len(rows))
    return Candidates(torch.from_numpy(rows), torch.from_numpy(index_of_row), train_counts[rows])


def answers_about(answers: Answers, among: Candidates) -> Answers:
    """`answers` with an empty place where an item is no rival.

    The loss of such an item would fall without end: nothing holds its score down.
    """
    known = among.index_of_row.numpy()[answers.rankings] != PADDING_INDEX
    return replace(answers, rankings=np.where(known, answers.rankings, PADDING_INDEX))
