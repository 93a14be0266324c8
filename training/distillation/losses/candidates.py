"""Candidates: the items that a loss compares the next item with.

If the student has no LLM embeddings, all items are candidates: an item without training
interactions has a random score at first, and learns a low score as a negative. If the student has
embeddings, it scores such an item by its title. As a negative, the item would teach that similar
titles are unpopular, though no user could choose it during training. So only items with training
interactions are candidates. The setting `training.trained_candidates` has the same effect without
embeddings.
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
    """The items that a loss compares, numbered by candidate indices from 1; 0 is padding.

    Attributes:
        rows: `[candidates + 1]`, item index of each candidate index, ascending; the first is
            padding.
        index_of_row: `[catalog rows]`, candidate index of each item; 0 if it is not a candidate.
        train_counts: `[candidates + 1]`, number of training interactions of each candidate.
    """

    rows: Tensor
    index_of_row: Tensor
    train_counts: NDArray[np.int64]

    def to(self, device: torch.device) -> "Candidates":
        """Returns a copy with the tensors on `device`."""
        return replace(self, rows=self.rows.to(device), index_of_row=self.index_of_row.to(device))

    def table(self, table: Tensor) -> Tensor:
        """Selects the candidates' rows of an item table `[catalog rows, hidden]`.

        The result is `[candidates + 1, hidden]`; row 0 is padding.
        """
        return table if len(self.rows) == len(table) else table[self.rows]

    def indices(self, items: Tensor) -> Tensor:
        """Converts item indices, of any shape, to candidate indices.

        An item that is not a candidate becomes 0.
        """
        return self.index_of_row[items]


def next_item_candidates(train_counts: NDArray[np.int64], *, only_trained: bool) -> Candidates:
    """Selects all items as candidates, or only those with a training interaction.

    Args:
        train_counts: `[catalog rows]`, number of training interactions of each item.
        only_trained: whether items without a training interaction are left out.
    """
    is_candidate = train_counts > 0 if only_trained else np.ones(len(train_counts), dtype=np.bool_)
    is_candidate[PADDING_INDEX] = True
    rows = np.flatnonzero(is_candidate)
    index_of_row = np.full(len(train_counts), PADDING_INDEX)
    index_of_row[rows] = np.arange(len(rows))
    return Candidates(torch.from_numpy(rows), torch.from_numpy(index_of_row), train_counts[rows])


def answers_among(answers: Answers, candidates: Candidates) -> Answers:
    """Replaces items that are not candidates by padding in the rankings of `answers`.

    No loss has such an item as a negative. So if a list made it a positive, its score would rise
    without bound.
    """
    known = candidates.index_of_row.numpy()[answers.rankings] != PADDING_INDEX
    return replace(answers, rankings=np.where(known, answers.rankings, PADDING_INDEX))
