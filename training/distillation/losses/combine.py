"""Formulas that all kinds of losses share: scores, sum over a ranking list, total loss.

A position is a place in a batch of histories after which an item is to be predicted.
"""

import torch
from torch import Tensor

# Largest share of its probability that a student is taken to give to a list, so that the logarithm
# of the rest is finite.
LARGEST_SHARE = 1 - 1e-4


def distillation_loss(list_losses: Tensor, weights: Tensor) -> Tensor:
    """Sums the weighted losses of the items of each ranking list (DLLM2Rec, eq. 5).

    `list_losses` and `weights` are `[positions, K]`; the result is `[positions]`.
    """
    return (weights * list_losses).sum(dim=1)


def distribution_loss(list_losses: Tensor, probabilities: Tensor) -> Tensor:
    """Computes the cross-entropy of the teacher's and the student's distribution, `[positions]`.

    Each distribution has a probability for every listed item, and one for all other candidates
    together. The cross-entropy is the Kullback-Leibler divergence plus the entropy of the teacher's
    distribution, which no student can change.

    Args:
        list_losses: `[positions, K]`, minus the logarithms of the student's probabilities of the
            listed items.
        probabilities: `[positions, K]`, the teacher's probabilities of the listed items; 0 marks an
            empty place, which is ignored.
    """
    listed = list_losses.masked_fill(probabilities == 0, torch.inf)
    share = (-listed).exp().sum(dim=1).clamp(max=LARGEST_SHARE)
    of_rest = -torch.log1p(-share) * (1 - probabilities.sum(dim=1)).clamp(min=0)
    return distillation_loss(list_losses, probabilities) + of_rest


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
