"""DROS: distributionally robust optimisation of the next-item loss (Yang et al., SIGIR 2023)."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from training.compute.catalog_softmax import chunk_size

FLATTENING = 0.05  # exponent of an item's share, from the reference code


def nominal_shares(train_counts: NDArray[np.int64]) -> Tensor:
    """`p_i`: flattened shares of the training interactions, `[items]`; never 0."""
    counts = torch.from_numpy(train_counts[1:]).double() + 1
    shares: Tensor = (counts / counts.sum()) ** FLATTENING
    return shares.float()


def robust_losses(
    queries: Tensor, table: Tensor, next_items: Tensor, shares: Tensor, temperature: float
) -> Tensor:
    """`log sum_i exp(p_i (y_i - [i is next])^2 / temperature)`, `[positions]`.

    The soft maximum of squared errors over the catalog, wherever scores lie. Only the chunk at
    hand has its scores in memory; they are computed again backward.

    Args:
        queries: `[positions, hidden]`.
        table: `[catalog rows, hidden]`; row 0 is padding and left out.
        next_items: `[positions]`.
        shares: `[items]`, from `nominal_shares`.
        temperature: beta.
    """
    items = table[1:]
    size = chunk_size(items)
    weights = shares / temperature
    chunks = zip(torch.split(queries, size), torch.split(next_items - 1, size), strict=True)
    return torch.cat(
        [checkpoint(_soft_maximum, *chunk, items, weights, use_reentrant=False) for chunk in chunks]
    )


def _soft_maximum(queries: Tensor, next_places: Tensor, items: Tensor, weights: Tensor) -> Tensor:
    scores = queries @ items.T
    is_next = torch.nn.functional.one_hot(next_places, len(items))
    return torch.logsumexp(weights * (scores - is_next) ** 2, dim=1)
