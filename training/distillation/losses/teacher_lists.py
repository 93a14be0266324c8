"""`RankingLists`: the teacher's lists and their weights, looked up by dataset row in training."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from training.distillation.losses.list_weights import ListWeighting, consistencies, list_weighting
from training.knowledge import Answers
from training.settings.experiment import DistillationConfig


@dataclass(frozen=True)
class RankingLists:
    """The teacher's lists by dataset row.

    Attributes:
        line_of_row: `[interactions]`, the line of each row's list; line 0 is the empty list.
        rankings: `[lists + 1, K]`, item indices.
        weights: `[lists + 1, K]`, without consistency, which the student decides in each step.
        weighting: adds consistency.
    """

    line_of_row: Tensor
    rankings: Tensor
    weights: Tensor
    weighting: ListWeighting

    @property
    def config(self) -> DistillationConfig:
        """The settings that the lists were weighed by."""
        return self.weighting.config

    def to(self, device: torch.device) -> "RankingLists":
        """Copies the tensors to `device`."""
        return replace(
            self,
            line_of_row=self.line_of_row.to(device),
            rankings=self.rankings.to(device),
            weights=self.weights.to(device),
        )

    def of(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rankings and weights `[rows, K]`; share of the list loss `[rows]`, 0 without a list."""
        lines = self.line_of_row[rows]
        share = self.config.ranking_weight * (lines > 0)
        return self.rankings[lines], self.weights[lines], share

    @property
    def own_list_length(self) -> int:
        """K of the student's own top K that consistency compares with; 0 = consistency is off."""
        return self.rankings.shape[1] if self.weighting.consistency else 0

    def with_consistency(
        self, rankings: Tensor, weights: Tensor, scores: Tensor, kth_best: Tensor
    ) -> Tensor:
        """Adds consistency with the student to `weights`, `[positions, K]`.

        Args:
            rankings: `[positions, K]`.
            weights: `[positions, K]`, from `of`.
            scores: `[positions, K]`, the student's scores of the listed items.
            kth_best: `[positions]`, the student's K-th best score in this step.
        """
        consistent = consistencies(scores.detach(), kth_best)
        return self.weighting.while_training(weights, rankings, consistent)


def ranking_lists(
    answers: Answers, num_interactions: int, config: DistillationConfig
) -> RankingLists:
    """Weighs the top `config.list_length` of each answer; `num_interactions` are the dataset's."""
    line_of_row = np.zeros(num_interactions, dtype=np.int64)
    line_of_row[answers.rows] = np.arange(1, len(answers.rows) + 1)
    rankings = torch.from_numpy(answers.rankings[:, : config.list_length].astype(np.int64))
    weighting = list_weighting(config)
    weights = weighting.before_training(
        rankings,
        torch.from_numpy(answers.distances[:, : config.list_length]),
        torch.from_numpy(answers.next_item_distances),
    )
    return RankingLists(
        line_of_row=torch.from_numpy(line_of_row),
        rankings=_after_an_empty_line(rankings),
        weights=_after_an_empty_line(weights),
        weighting=weighting,
    )


def _after_an_empty_line(lines: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(lines[:1]), lines])
