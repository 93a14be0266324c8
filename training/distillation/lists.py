"""The teacher's lists, laid out for a quick look-up while training."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.config import DistillationConfig
from training.distillation.weights import normalised, position_weights
from training.teacher.knowledge import Answers


@dataclass(frozen=True)
class RankingLists:
    """Lists and weights by dataset row.

    Attributes:
        line_of_row: `[interactions]`, the line of each row's list; line 0 is the empty list.
        rankings: `[lists + 1, K]`, item indices.
        weights: `[lists + 1, K]`, summing to 1 over a list.
        share: the teacher's share of the loss where there is a list.
    """

    line_of_row: Tensor
    rankings: Tensor
    weights: Tensor
    share: float

    def of(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rankings and weights `[rows, K]` and the teacher's share `[rows]`, 0 without a list."""
        lines = self.line_of_row[rows]
        return self.rankings[lines], self.weights[lines], self.share * (lines > 0)


def ranking_lists(
    answers: Answers, num_interactions: int, config: DistillationConfig
) -> RankingLists:
    """Weighs the top `config.list_length` of every answer."""
    line_of_row = np.zeros(num_interactions, dtype=np.int64)
    line_of_row[answers.rows] = np.arange(1, len(answers.rows) + 1)
    top = answers.rankings[:, : config.list_length].astype(np.int64)
    rankings = torch.from_numpy(np.concatenate([np.zeros_like(top[:1]), top]))
    return RankingLists(
        line_of_row=torch.from_numpy(line_of_row),
        rankings=rankings,
        weights=normalised(position_weights(rankings, config.position_temperature), rankings),
        share=config.ranking_weight,
    )
