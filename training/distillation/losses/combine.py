"""Formulas that all losses share: scores, sum over a ranking list, total loss."""

import torch
from torch import Tensor


def distillation_loss(list_losses: Tensor, weights: Tensor) -> Tensor:
    """Sums the weighted losses of listed items (paper eq. 5).

    `list_losses` and `weights` are `[positions, K]`; the sum is `[positions]`.
    """
    return (weights * list_losses).sum(dim=1)


def total_loss(next_item: Tensor, distillation: Tensor, weight: Tensor) -> Tensor:
    """Returns the mean of `(1 - weight) * next_item + weight * distillation` over positions.

    All arguments are `[positions]`.
    """
    return ((1 - weight) * next_item + weight * distillation).mean()


def scores_of(queries: Tensor, table: Tensor, items: Tensor) -> Tensor:
    """Scores `items`, `[positions, M]`, at each position; returns the same shape."""
    return torch.einsum("nh,nmh->nm", queries, torch.nn.functional.embedding(items, table))
