"""Formulas that all losses share: scores, the sum over a teacher's list, and the total."""

import torch
from torch import Tensor


def distillation_loss(list_losses: Tensor, weights: Tensor) -> Tensor:
    """`sum_k w_k loss_k` over the teacher's list (paper eq. 5), `[positions]`; both `[.., K]`."""
    return (weights * list_losses).sum(dim=1)


def total_loss(next_item: Tensor, distillation: Tensor, weight: Tensor) -> Tensor:
    """Mean over positions of `(1 - weight) next_item + weight distillation`; all `[positions]`."""
    return ((1 - weight) * next_item + weight * distillation).mean()


def scores_of(queries: Tensor, table: Tensor, items: Tensor) -> Tensor:
    """Scores of each query's own `items` `[positions, M]`, in the same shape."""
    return torch.einsum("nh,nmh->nm", queries, torch.nn.functional.embedding(items, table))
