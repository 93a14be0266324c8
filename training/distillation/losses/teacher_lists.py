"""`RankingLists`: the teacher's ranking lists with their weights, looked up by dataset row."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from training.distillation.losses.combine import distillation_loss, distribution_loss
from training.distillation.losses.list_weights import ListWeighting, consistencies, list_weighting
from training.errors import KnowledgeError
from training.knowledge import Answers
from training.settings.experiment import DistillationConfig

ROUNDED = 0.01  # error of a sum of probabilities whose logarithms are stored in half precision


@dataclass(frozen=True)
class RankingLists:
    """The teacher's ranking lists with their weights, looked up by dataset row.

    Attributes:
        list_of_row: `[interactions]`, for each dataset row, the index of its list in `rankings` and
            `weights`; 0, an empty list, if the teacher did not answer the row.
        rankings: `[lists + 1, K]`, item indices; 0 pads a short list.
        weights: `[lists + 1, K]`, importance weights without the consistency part. That part
            depends on the student, so `with_consistency` adds it in each step. With
            `distillation.list_loss = "distribution"`, they are the teacher's probabilities.
        weighting: computes importance weights.
    """

    list_of_row: Tensor
    rankings: Tensor
    weights: Tensor
    weighting: ListWeighting

    @property
    def config(self) -> DistillationConfig:
        """The distillation settings that the importance weights were computed with."""
        return self.weighting.config

    def to(self, device: torch.device) -> "RankingLists":
        """Returns a copy with the tensors on `device`."""
        return replace(
            self,
            list_of_row=self.list_of_row.to(device),
            rankings=self.rankings.to(device),
            weights=self.weights.to(device),
        )

    def of(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Looks up the ranking lists of the dataset rows `rows`, a vector.

        Returns:
            Rankings and weights, `[rows, K]` each, and the weight of the distillation loss in the
            total loss, `[rows]`. It is `DistillationConfig.share_of_lists`, or 0 for a row without
            a list.
        """
        lists = self.list_of_row[rows]
        share = self.config.share_of_lists * (lists > 0)
        return self.rankings[lists], self.weights[lists], share

    @property
    def own_list_length(self) -> int:
        """Length K of the student's own top list for consistency; 0 if consistency is off."""
        return self.rankings.shape[1] if self.weighting.consistency else 0

    def with_consistency(
        self, rankings: Tensor, weights: Tensor, scores: Tensor, kth_best: Tensor
    ) -> Tensor:
        """Adds the consistency part to the importance weights; returns `[positions, K]`.

        Args:
            rankings: `[positions, K]`, item indices from `of`.
            weights: `[positions, K]`, from `of`.
            scores: `[positions, K]`, the student's scores of the listed items.
            kth_best: `[positions]`, the student's K-th best score over all candidates.
        """
        consistent = consistencies(scores.detach(), kth_best)
        return self.weighting.while_training(weights, rankings, consistent)

    def loss(self, list_losses: Tensor, weights: Tensor) -> Tensor:
        """Returns the loss of each list, `[positions]`, from the losses of its items.

        With `distillation.list_loss = "ranking"`, it is their weighted sum. With "distribution", it
        is the cross-entropy of the teacher's and the student's distribution.

        Args:
            list_losses: `[positions, K]`, unweighted losses of the listed items.
            weights: `[positions, K]`, importance weights or, for "distribution", probabilities.
        """
        if self.config.list_loss == "distribution":
            return distribution_loss(list_losses, weights)
        return distillation_loss(list_losses, weights)


def ranking_lists(
    answers: Answers, num_interactions: int, config: DistillationConfig
) -> RankingLists:
    """Makes `RankingLists` from the first `config.used_length` items of each answer.

    `num_interactions` is the number of rows of the dataset.

    Raises:
        KnowledgeError: `config` asks for the teacher's distributions, and the answers have none.
    """
    list_of_row = np.zeros(num_interactions, dtype=np.int64)
    list_of_row[answers.rows] = np.arange(1, len(answers.rows) + 1)
    rankings = torch.from_numpy(answers.rankings[:, : config.used_length].astype(np.int64))
    weighting = list_weighting(config)
    distances = torch.from_numpy(answers.distances[:, : config.used_length])
    if config.list_loss == "distribution":
        weights = probabilities_of(distances, rankings)
    else:
        next_item_distances = torch.from_numpy(answers.next_item_distances)
        weights = weighting.before_training(rankings, distances, next_item_distances)
    return RankingLists(
        list_of_row=torch.from_numpy(list_of_row),
        rankings=_after_an_empty_list(rankings),
        weights=_after_an_empty_list(weights),
        weighting=weighting,
    )


def probabilities_of(distances: Tensor, rankings: Tensor) -> Tensor:
    """Converts distances that are minus the logarithms of probabilities; returns `[examples, K]`.

    Args:
        distances: `[examples, K]`.
        rankings: `[examples, K]`, item indices; 0 is an empty place, whose probability becomes 0.

    Raises:
        KnowledgeError: the probabilities of a list sum to more than 1.
    """
    probabilities = torch.exp(-distances) * (rankings != 0)
    largest = float(probabilities.sum(dim=1).max()) if len(probabilities) else 0.0
    if largest > 1 + ROUNDED:
        raise KnowledgeError(
            f"distillation.list_loss = 'distribution': the probabilities of a list sum to "
            f"{largest:.3f}; only a fusion teacher's lists have probabilities, so teach with "
            "kind = 'fusion' or use list_loss = 'ranking'"
        )
    return probabilities


def _after_an_empty_list(lists: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(lists[:1]), lists])
