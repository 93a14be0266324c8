"""Formulas that all kinds of losses share: scores, sum over a ranking list, total loss.

Positions are those of a batch of histories after which an item is to be predicted.
"""

import torch
from torch import Tensor


def distillation_loss(list_losses: Tensor, weights: Tensor) -> Tensor:
    """Sums the weighted losses of the items of each ranking list (DLLM2Rec, eq. 5).

    `list_losses` and `weights` are `[positions, K]`; the result is `[positions]`.
    """
    return (weights * list_losses).sum(dim=1)


def total_loss(next_item: Tensor, distillation: Tensor, weight: Tensor) -> Tensor:
    """Returns the mean of `(1 - weight) * next_item + weight * distillation` over positions.

    All arguments are `[positions]`.
    """
    return ((1 - weight) * next_item + weight * distillation).mean()


def scores_of(queries: Tensor, table: Tensor, items: Tensor) -> Tensor:
    """Computes the scores of the given items at each position, `[positions, M]`.

    Args:
        queries: `[positions, hidden]`, query vectors.
        table: `[rows, hidden]`, item vectors.
        items: `[positions, M]`, rows of `table`.
    """
    return torch.einsum("nh,nmh->nm", queries, torch.nn.functional.embedding(items, table))
