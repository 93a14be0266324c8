"""The teacher's lists, laid out for a quick look-up while training."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from training.distillation.losses.list_weights import ListWeighting, consistencies, list_weighting
from training.knowledge import Answers
from training.settings.experiment import DistillationConfig


@dataclass(frozen=True)
class RankingLists:
    """Lists and weights by dataset row.

    Attributes:
        line_of_row: `[interactions]`, the line of each row's list; line 0 is the empty list.
        rankings: `[lists + 1, K]`, item indices.
        weights: `[lists + 1, K]`, without what the student's agreement adds.
        weighting: how that is added.
    """

    line_of_row: Tensor
    rankings: Tensor
    weights: Tensor
    weighting: ListWeighting

    @property
    def config(self) -> DistillationConfig:
        """The settings that the lists were laid out by."""
        return self.weighting.config

    def to(self, device: torch.device) -> "RankingLists":
        """The same on `device`."""
        return replace(
            self,
            line_of_row=self.line_of_row.to(device),
            rankings=self.rankings.to(device),
            weights=self.weights.to(device),
        )

    def of(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rankings and weights `[rows, K]` and the teacher's share `[rows]`, 0 without a list."""
        lines = self.line_of_row[rows]
        share = self.config.ranking_weight * (lines > 0)
        return self.rankings[lines], self.weights[lines], share

    @property
    def own_list_length(self) -> int:
        """How many of the student's own best items agreement looks at; 0 = it is off."""
        return self.rankings.shape[1] if self.weighting.consistency else 0

    def agreed(self, rankings: Tensor, weights: Tensor, scores: Tensor, kth_best: Tensor) -> Tensor:
        """`weights` of `rankings` once the student has been asked too, `[positions, K]`.

        Args:
            rankings: `[positions, K]`.
            weights: `[positions, K]`, from `of`.
            scores: `[positions, K]`, the student's, of the listed items.
            kth_best: `[positions]`, the score of the student's own K-th item in this step.
        """
        consistent = consistencies(scores.detach(), kth_best)
        return self.weighting.while_training(weights, rankings, consistent)


def ranking_lists(
    answers: Answers, num_interactions: int, config: DistillationConfig
) -> RankingLists:
    """Weighs the top `config.list_length` of every answer."""
    line_of_row = np.zeros(num_interactions, dtype=np.int64)
    line_of_row[answers.rows] = np.arange(1, len(answers.rows) + 1)
    rankings = torch.from_numpy(answers.rankings[:, : config.list_length].astype(np.int64))
    how = list_weighting(config)
    weights = how.before_training(
        rankings,
        torch.from_numpy(answers.distances[:, : config.list_length]),
        torch.from_numpy(answers.next_item_distances),
    )
    return RankingLists(
        line_of_row=torch.from_numpy(line_of_row),
        rankings=_after_an_empty_line(rankings),
        weights=_after_an_empty_line(weights),
        weighting=how,
    )


def _after_an_empty_line(lines: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(lines[:1]), lines])
