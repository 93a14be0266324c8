"""Importance weights of the items in a teacher's list (paper eq. 6-10), in two forms.

*paper*: each part sums to at most 1 over a list, and the weighted mean of the parts is not
normalised. So a list weighs less if the teacher was far from the true next item.
*reference-code*: confidence uses the distances of the listed items, and the weights of a list sum
to 1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.settings.experiment import DistillationConfig

FLOOR = 1e-8  # from the reference code, so that no list has weight 0
ROUNDING = 1e-5  # relative difference of one score that is computed in two ways


def position_weights(rankings: Tensor, temperature: float) -> Tensor:
    """`exp(-rank / temperature)`, rank from 1 (paper eq. 6), for `[examples, K]` rankings."""
    ranks = torch.arange(1, rankings.shape[1] + 1, dtype=torch.float32)
    return torch.exp(-ranks / temperature).expand(rankings.shape)


def confidences(distances: Tensor, temperature: float) -> Tensor:
    """`exp(-distance / temperature)` (paper eq. 7), in (0, 1].

    In the paper the distance of the true next item, `[examples]`; in the reference code the
    distances of the listed items, `[examples, K]`.
    """
    return torch.exp(-distances / temperature)


def consistencies(list_scores: Tensor, kth_best: Tensor) -> Tensor:
    """1 if the student's own top K holds the listed item, else 0 (paper eq. 8).

    Args:
        list_scores: `[positions, K]`, the student's scores of the listed items.
        kth_best: `[positions]`, the score of its own K-th item.
    """
    tolerance = ROUNDING * (1 + kth_best.abs())
    return (list_scores >= (kth_best - tolerance)[:, None]).to(list_scores.dtype)


def normalised(weights: Tensor, rankings: Tensor) -> Tensor:
    """Weights that sum to 1 over each list; the empty places of a short list (padding) get 0."""
    weights = weights * (rankings != 0)
    return weights / weights.sum(dim=1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)


@dataclass(frozen=True)
class ListWeighting:
    """Weighted mean of the parts that are on (paper eq. 10).

    Attributes:
        position: gamma of the position part / sum of the gammas that are on; 0 = off.
        confidence: likewise for confidence.
        consistency: likewise for consistency.
    """

    config: DistillationConfig
    position: float
    confidence: float
    consistency: float

    @property
    def is_uniform(self) -> bool:
        """Whether every part is off; then all listed items have the same weight."""
        return self.position + self.confidence + self.consistency == 0

    def before_training(
        self, rankings: Tensor, distances: Tensor, next_item_distances: Tensor
    ) -> Tensor:
        """Weights from position and confidence, `[examples, K]`; `while_training` completes them.

        Args:
            rankings: `[examples, K]`, 0 for the empty places of a short list.
            distances: `[examples, K]`, the teacher's distance of each listed item.
            next_item_distances: `[examples]`, the teacher's distance of the true next item.
        """
        even = normalised(torch.ones(rankings.shape), rankings)
        if self.is_uniform:
            return even
        by_rank = position_weights(rankings, self.config.position_temperature)
        confident = self._confidence(rankings, even, distances, next_item_distances)
        weights = self.position * normalised(by_rank, rankings) + self.confidence * confident
        return weights if self.consistency else self._finished(weights, rankings)

    def while_training(self, weights: Tensor, rankings: Tensor, consistent: Tensor) -> Tensor:
        """Adds consistency to the weights of `before_training`; all `[positions, K]`."""
        if self.config.weight_form == "paper":
            consistent = consistent * normalised(torch.ones(rankings.shape), rankings)
        else:
            consistent = consistent + FLOOR
        return self._finished(weights + self.consistency * consistent, rankings)

    def _confidence(
        self, rankings: Tensor, even: Tensor, distances: Tensor, next_item_distances: Tensor
    ) -> Tensor:
        temperature = self.config.confidence_temperature
        if self.config.weight_form == "paper":
            median = next_item_distances.median().item() if len(next_item_distances) else 1.0
            return confidences(next_item_distances, temperature or median or 1.0)[:, None] * even
        return normalised(confidences(distances, temperature or 1.0) + FLOOR, rankings)

    def _finished(self, weights: Tensor, rankings: Tensor) -> Tensor:
        return weights if self.config.weight_form == "paper" else normalised(weights, rankings)


def list_weighting(config: DistillationConfig) -> ListWeighting:
    """The weighting that `config` describes; its shares sum to 1, so a list weighs at most 1."""
    gammas = (
        config.gamma_position * config.position,
        config.gamma_confidence * config.confidence,
        config.gamma_consistency * config.consistency,
    )
    position, confidence, consistency = (gamma / (sum(gammas) or 1.0) for gamma in gammas)
    return ListWeighting(config, position, confidence, consistency)
