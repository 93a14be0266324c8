"""Selects a part of the candidates for the softmax of each training step.

The part has the most popular candidates, those that the batch reads, predicts or lists, and a
random sample of the others. Each sampled item stands for several items: its exponential is
multiplied by their number. So the expected sum of exponentials is that of all candidates. The next
items are always part of the softmax, so no score can rise without bound.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.compute.catalog_softmax import Upweighted
from training.distillation.losses.candidates import Candidates

POPULAR_PART = 0.5  # part of the share that is given to the most popular candidates


@dataclass(frozen=True)
class StepItems:
    """The items of one training step, numbered by *step indices* from 1; 0 is padding.

    They are the items that the batch reads and the items in the softmax of the step.

    Attributes:
        rows: `[items of the step + 1]`, item index of each step index. The order is: padding, items
            that are only read, items in the softmax that were not drawn at random, drawn items.
        index_of_row: `[catalog rows]`, step index of each item; 0 if it is not in the step.
        num_only_read: number of items that the batch reads, but that are not candidates.
        num_certain: number of items in the softmax that were not drawn at random.
        log_weight: natural logarithm of the number of items that each drawn item stands for.
    """

    rows: Tensor
    index_of_row: Tensor
    num_only_read: int
    num_certain: int
    log_weight: float

    def competing(self, table: Tensor) -> Tensor:
        """Selects the item vectors that the softmax of the step compares.

        Args:
            table: `[items of the step + 1, hidden]`, item vectors by step index.

        Returns:
            `[items in the softmax + 1, hidden]`; row 0 is padding, with arbitrary values.
        """
        return table[self.num_only_read :]

    def competing_rows(self, items: Tensor) -> Tensor:
        """Converts item indices, of any shape, to rows of the table that `competing` returns.

        An item that is not in the softmax of the step becomes 0, the row of padding.
        """
        return (self.index_of_row[items] - self.num_only_read).clamp(min=0)

    @property
    def drawn(self) -> Upweighted:
        """The items in the softmax that were drawn at random, with the number each stands for."""
        return Upweighted(self.num_certain, self.log_weight)


class ThinnedCatalog:
    """Selects a part of the candidates for the softmax of each training step.

    Args:
        candidates: all items that a next item can be compared with.
        share: share of the candidates to select in addition to those of the batch; less than 1.
    """

    def __init__(self, candidates: Candidates, share: float) -> None:
        self.is_candidate = candidates.index_of_row > 0
        by_popularity = np.argsort(-candidates.train_counts[1:], kind="stable") + 1
        rows = candidates.rows[torch.from_numpy(by_popularity).to(candidates.rows.device)]
        num_competing = math.ceil(share * len(rows))
        num_popular = math.ceil(POPULAR_PART * num_competing)
        self.is_popular = torch.zeros_like(self.is_candidate)
        self.is_popular[rows[:num_popular]] = True
        self.others = rows[num_popular:]
        self.num_drawn = num_competing - num_popular

    def draw(self, used: Tensor) -> StepItems:
        """Selects the items of one step, some of them at random.

        Args:
            used: vector of the item indices that the batch reads, predicts or lists, with
                repetitions; 0 is ignored.
        """
        in_batch = torch.zeros_like(self.is_candidate)
        in_batch[used] = True
        in_batch[0] = False
        only_read = torch.nonzero(in_batch & ~self.is_candidate)[:, 0]
        certain = torch.nonzero(self.is_candidate & (self.is_popular | in_batch))[:, 0]
        drawn = self._drawn()
        rows = torch.cat([used.new_zeros(1), only_read, certain, drawn[~in_batch[drawn]]])
        index_of_row = torch.zeros(len(in_batch), dtype=torch.int64)
        index_of_row[rows] = torch.arange(len(rows))
        log_weight = math.log(len(self.others) / self.num_drawn) if self.num_drawn else 0.0
        return StepItems(rows, index_of_row, len(only_read), len(certain), log_weight)

    def _drawn(self) -> Tensor:
        """Draws one item from each of `num_drawn` groups of items of similar popularity.

        An item at the border of two groups may be drawn twice, and then counts twice.
        """
        if not self.num_drawn:
            return self.others[:0]
        size = len(self.others) / self.num_drawn
        # In float32, a sum would be rounded to a few of the places of a catalog of millions.
        places = (torch.arange(self.num_drawn) + torch.rand(self.num_drawn).double()) * size
        return self.others[places.long().clamp(max=len(self.others) - 1)]
