"""Candidates: the items among which a loss ranks the next item.

Without LLM embeddings, all items are candidates: an untrained item has no meaningful score, and as
a negative it learns a low one. With embeddings an untrained item is scored by its title. As a
negative its title would be pushed down for a time in which nobody could have chosen the item, so
only trained items are candidates.
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
    """A part of the catalog with indices of its own; padding stays index 0.

    Attributes:
        rows: `[candidates + 1]`, catalog rows, ascending; the first is padding.
        index_of_row: `[catalog rows]`, index in `rows`; 0 for an item that is no candidate.
        train_counts: `[candidates + 1]`, training interactions.
    """

    rows: Tensor
    index_of_row: Tensor
    train_counts: NDArray[np.int64]

    def to(self, device: torch.device) -> "Candidates":
        """Copies the tensors to `device`."""
        return replace(self, rows=self.rows.to(device), index_of_row=self.index_of_row.to(device))

    def table(self, table: Tensor) -> Tensor:
        """Rows of an item table that belong to candidates, `[candidates + 1, hidden]`."""
        return table if len(self.rows) == len(table) else table[self.rows]

    def indices(self, items: Tensor) -> Tensor:
        """Indices among the candidates, in the shape of `items`."""
        return self.index_of_row[items]


def next_item_candidates(train_counts: NDArray[np.int64], *, only_trained: bool) -> Candidates:
    """All items of `train_counts` `[catalog rows]`, or only those with a training interaction."""
    is_candidate = train_counts > 0 if only_trained else np.ones(len(train_counts), dtype=np.bool_)
    is_candidate[PADDING_INDEX] = True
    rows = np.flatnonzero(is_candidate)
    index_of_row = np.full(len(train_counts), PADDING_INDEX)
    index_of_row[rows] = np.arange(len(rows))
    return Candidates(torch.from_numpy(rows), torch.from_numpy(index_of_row), train_counts[rows])


def answers_among(answers: Answers, candidates: Candidates) -> Answers:
    """`answers` with an empty place for each item that is no candidate.

    The loss of such an item would fall without bound, since nothing keeps its score down.
    """
    known = candidates.index_of_row.numpy()[answers.rankings] != PADDING_INDEX
    return replace(answers, rankings=np.where(known, answers.rankings, PADDING_INDEX))
