"""Importance weights of the items in a ranking list (DLLM2Rec, eq. 6-10).

The weight of an item has up to three parts: position, confidence and consistency. The setting
`distillation.weight_form` chooses between two forms:

- *paper*: each part sums to at most 1 over a list. Confidence depends on the teacher's distance of
  the true next item, and weights are not normalised. So a list has less weight if that distance is
  large.
- *reference-code*: confidence depends on the distances of the listed items, and the weights of a
  list sum to 1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.settings.experiment import DistillationConfig

FLOOR = 1e-8  # added to weights, as in the reference code, so that no list has weight 0
ROUNDING = 1e-5  # relative rounding error between two computations of the same score


def position_weights(rankings: Tensor, temperature: float) -> Tensor:
    """Computes the position part of the weights, `exp(-rank / temperature)` (DLLM2Rec, eq. 6).

    The rank of an item is its position in the list, from 1. `rankings` and the result are
    `[examples, K]`.
    """
    ranks = torch.arange(1, rankings.shape[1] + 1, dtype=torch.float32)
    return torch.exp(-ranks / temperature).expand(rankings.shape)


def confidences(distances: Tensor, temperature: float) -> Tensor:
    """Computes confidences, `exp(-distance / temperature)` (DLLM2Rec, eq. 7), in (0, 1].

    `distances` come from the teacher; the result has the same shape. With the weight form `paper`,
    they are the distances of the true next items, `[examples]`. With `reference-code`, they are the
    distances of the listed items, `[examples, K]`.
    """
    return torch.exp(-distances / temperature)


def consistencies(list_scores: Tensor, kth_best: Tensor) -> Tensor:
    """Returns 1 for each listed item in the student's own top K, else 0 (DLLM2Rec, eq. 8).

    The result is `[positions, K]`, like `list_scores`.

    Args:
        list_scores: `[positions, K]`, the student's scores of the listed items.
        kth_best: `[positions]`, the student's K-th best score over all candidates.
    """
    tolerance = ROUNDING * (1 + kth_best.abs())
    return (list_scores >= (kth_best - tolerance)[:, None]).to(list_scores.dtype)


def normalised(weights: Tensor, rankings: Tensor, *, over_empty: bool = False) -> Tensor:
    """Scales the weights of each list to a sum of 1; the weights of empty places become 0.

    Args:
        weights: `[examples, K]`, weights of all places, empty ones included.
        rankings: `[examples, K]`, item indices; 0 is an empty place.
        over_empty: whether weights are divided by their sum over all places, empty ones included.
            The weights of a list with empty places then sum to less than 1.
    """
    filled = weights * (rankings != 0)
    total = (weights if over_empty else filled).sum(dim=1, keepdim=True)
    return filled / total.clamp(min=torch.finfo(weights.dtype).tiny)


def evenly_spread(confident: Tensor) -> Tensor:
    """Replaces confidences by values that are spread over (0, 1), with the same order and mean.

    The new value is `u^(1/mean - 1)`, where `u` is the share of examples with less confidence and
    `mean` is the mean confidence. If `u` is uniform in (0, 1), the mean is kept. Equal confidences
    stay equal. `confident` and the result are `[examples]`, in (0, 1).
    """
    if len(confident) == 0:
        return confident
    _, places, counts = torch.unique(confident, return_inverse=True, return_counts=True)
    middles = counts.cumsum(0) - counts / 2  # mean rank of equal confidences
    shares: Tensor = middles[places] / len(confident)
    return shares.pow(1 / confident.mean() - 1)


@dataclass(frozen=True)
class ListWeighting:
    """Combines position, confidence and consistency into importance weights (DLLM2Rec, eq. 10).

    A weight is the weighted mean of the parts that are on. The factors of the parts are the gammas
    of the settings, scaled to sum to 1.

    Attributes:
        config: settings of the parts.
        position: factor of the position part; 0 if it is off.
        confidence: factor of the confidence part; 0 if it is off.
        consistency: factor of the consistency part; 0 if it is off.
    """

    config: DistillationConfig
    position: float
    confidence: float
    consistency: float

    @property
    def is_uniform(self) -> bool:
        """Whether every part is off, so that all items of a list have the same weight."""
        return self.position + self.confidence + self.consistency == 0

    def before_training(
        self, rankings: Tensor, distances: Tensor, next_item_distances: Tensor
    ) -> Tensor:
        """Computes the weights without the consistency part, `[examples, K]`.

        They do not depend on the student, so they are computed once. `while_training` adds
        consistency in each step.

        Args:
            rankings: `[examples, K]`, item indices; 0 pads a short list.
            distances: `[examples, K]`, the teacher's distance of each listed item.
            next_item_distances: `[examples]`, the teacher's distance of the true next item.
        """
        even = self._normalised(torch.ones(rankings.shape), rankings)
        if self.is_uniform:
            return even
        by_rank = position_weights(rankings, self.config.position_temperature)
        confident = self._confidence(rankings, even, distances, next_item_distances)
        weights = self.position * self._normalised(by_rank, rankings) + self.confidence * confident
        return weights if self.consistency else self._finished(weights, rankings)

    def while_training(self, weights: Tensor, rankings: Tensor, consistent: Tensor) -> Tensor:
        """Adds the consistency part to the weights of `before_training`.

        All arguments and the result are `[positions, K]`. `consistent` holds the values 1 and 0 of
        `consistencies`.
        """
        if self.config.weight_form == "paper":
            consistent = consistent * self._normalised(torch.ones(rankings.shape), rankings)
        else:
            consistent = consistent + FLOOR
        return self._finished(weights + self.consistency * consistent, rankings)

    def _confidence(
        self, rankings: Tensor, even: Tensor, distances: Tensor, next_item_distances: Tensor
    ) -> Tensor:
        temperature = self.config.confidence_temperature
        if self.config.weight_form == "paper":
            median = next_item_distances.median().item() if len(next_item_distances) else 1.0
            confident = confidences(next_item_distances, temperature or median or 1.0)
            if self.config.confidence_scale == "rank":
                confident = evenly_spread(confident)
            return confident[:, None] * even
        return normalised(confidences(distances, temperature or 1.0) + FLOOR, rankings)

    def _normalised(self, weights: Tensor, rankings: Tensor) -> Tensor:
        over_empty = self.config.weight_form == "paper" and self.config.empty_places == "lost"
        return normalised(weights, rankings, over_empty=over_empty)

    def _finished(self, weights: Tensor, rankings: Tensor) -> Tensor:
        return weights if self.config.weight_form == "paper" else normalised(weights, rankings)


def list_weighting(config: DistillationConfig) -> ListWeighting:
    """Makes the `ListWeighting` of `config`.

    The factors of the three parts sum to 1, or to 0 if all parts are off. With
    `list_loss = "distribution"` all parts are off: the teacher's probabilities are the weights.
    """
    if config.list_loss == "distribution":
        return ListWeighting(config, 0.0, 0.0, 0.0)
    gammas = (
        config.gamma_position * config.position,
        config.gamma_confidence * config.confidence,
        config.gamma_consistency * config.consistency,
    )
    position, confidence, consistency = (gamma / (sum(gammas) or 1.0) for gamma in gammas)
    return ListWeighting(config, position, confidence, consistency)
