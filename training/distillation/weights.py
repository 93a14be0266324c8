"""How much each item of a teacher's list counts (paper eq. 6-10).

A weight is `[examples, K]`, not yet normalised; `normalised` makes the weights of a list sum to 1.
"""

import torch
from torch import Tensor


def position_weights(rankings: Tensor, temperature: float) -> Tensor:
    """`exp(-rank / temperature)`, rank from 1 (paper eq. 6), for `[examples, K]` rankings."""
    ranks = torch.arange(1, rankings.shape[1] + 1, dtype=torch.float32)
    return torch.exp(-ranks / temperature).expand(rankings.shape)


def normalised(weights: Tensor, rankings: Tensor) -> Tensor:
    """Weights that sum to 1 over each list; the empty places of a short list (padding) get 0."""
    weights = weights * (rankings != 0)
    return weights / weights.sum(dim=1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)
