"""How much each item of a teacher's list counts (paper eq. 6-10), in two forms.

*paper*: each part sums to at most 1 over a list, a share of them adds up, and nothing is
normalised afterwards; so a list whose teacher was far from the true next item weighs less.
*reference-code*: confidence looks at the listed items, and the weights of a list sum to 1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.settings.experiment import DistillationConfig

FLOOR = 1e-8  # the reference code's, so that no list is without weight
ROUNDING = 1e-5  # one score, computed in two ways, may differ by so much


def position_weights(rankings: Tensor, temperature: float) -> Tensor:
    """`exp(-rank / temperature)`, rank from 1 (paper eq. 6), for `[examples, K]` rankings."""
    ranks = torch.arange(1, rankings.shape[1] + 1, dtype=torch.float32)
    return torch.exp(-ranks / temperature).expand(rankings.shape)


def confidences(distances: Tensor, temperature: float) -> Tensor:
    """`exp(-distance / temperature)` (paper eq. 7), in (0, 1].

    Of the true next item, `[examples]`, in the paper; of each listed one, `[examples, K]`, in the
    reference code.
    """
    return torch.exp(-distances / temperature)


def consistencies(list_scores: Tensor, kth_best: Tensor) -> Tensor:
    """1 where the student's own top K holds the listed item, else 0 (paper eq. 8).

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
    """The combination of the parts that are on (paper eq. 10).

    Attributes:
        position: gamma of eq. 6 over the sum of the gammas that are on; 0 = off.
        confidence: the same of eq. 7.
        consistency: the same of eq. 8.
    """

    config: DistillationConfig
    position: float
    confidence: float
    consistency: float

    @property
    def is_uniform(self) -> bool:
        """Whether every part is off: the listed items then weigh alike."""
        return self.position + self.confidence + self.consistency == 0

    def before_training(
        self, rankings: Tensor, distances: Tensor, next_item_distances: Tensor
    ) -> Tensor:
        """What position and confidence give, `[examples, K]`; see `while_training`.

        Args:
            rankings: `[examples, K]`, 0 where a list is short.
            distances: `[examples, K]`, the teacher's, of each listed item.
            next_item_distances: `[examples]`, the teacher's, of the true next item.
        """
        even = normalised(torch.ones(rankings.shape), rankings)
        if self.is_uniform:
            return even
        by_rank = position_weights(rankings, self.config.position_temperature)
        sure = self._sureness(rankings, even, distances, next_item_distances)
        weights = self.position * normalised(by_rank, rankings) + self.confidence * sure
        return weights if self.consistency else self._finished(weights, rankings)

    def while_training(self, weights: Tensor, rankings: Tensor, consistent: Tensor) -> Tensor:
        """Adds the student's agreement, `consistent` `[positions, K]`, to `before_training`."""
        if self.config.weight_form == "paper":
            consistent = consistent * normalised(torch.ones(rankings.shape), rankings)
        else:
            consistent = consistent + FLOOR
        return self._finished(weights + self.consistency * consistent, rankings)

    def _sureness(
        self, rankings: Tensor, even: Tensor, distances: Tensor, next_item_distances: Tensor
    ) -> Tensor:
        temperature = self.config.confidence_temperature
        if self.config.weight_form == "paper":
            usual = next_item_distances.median().item() if len(next_item_distances) else 1.0
            return confidences(next_item_distances, temperature or usual or 1.0)[:, None] * even
        return normalised(confidences(distances, temperature or 1.0) + FLOOR, rankings)

    def _finished(self, weights: Tensor, rankings: Tensor) -> Tensor:
        return weights if self.config.weight_form == "paper" else normalised(weights, rankings)


def list_weighting(config: DistillationConfig) -> ListWeighting:
    """The parts that `config` has on; their shares sum to 1, so a list weighs at most 1."""
    gammas = (
        config.gamma_position * config.position,
        config.gamma_confidence * config.confidence,
        config.gamma_consistency * config.consistency,
    )
    position, confidence, consistency = (gamma / (sum(gammas) or 1.0) for gamma in gammas)
    return ListWeighting(config, position, confidence, consistency)
