"""DROS: distributionally robust optimisation of the next-item loss (Yang et al., SIGIR 2023)."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from training.compute.catalog_softmax import chunk_size

FLATTENING = 0.05  # exponent of an item's share of interactions, as in the reference code


def nominal_shares(train_counts: NDArray[np.int64]) -> Tensor:
    """Computes `p_i`, the share of training interactions with item i, to the power `FLATTENING`.

    Returns `[items]`, without padding. No share is 0, since 1 is added to the count of each item.
    `train_counts` is `[catalog rows]`, with padding in row 0.
    """
    counts = torch.from_numpy(train_counts[1:]).double() + 1
    shares: Tensor = (counts / counts.sum()) ** FLATTENING
    return shares.float()


def robust_losses(
    queries: Tensor, table: Tensor, next_items: Tensor, shares: Tensor, temperature: float
) -> Tensor:
    """Computes the DROS loss at each position, `[positions]`.

    It is `log sum_i exp(p_i (y_i - [i is next])^2 / temperature)`, a soft maximum over the catalog
    of the squared errors of scores `y_i`. The target of a score is 1 for the next item and 0 for
    other items. To save memory, scores are computed in chunks, and again in the backward pass.

    Args:
        queries: `[positions, hidden]`, query vectors.
        table: `[catalog rows, hidden]`, item vectors; row 0 is padding and left out.
        next_items: `[positions]`, item indices.
        shares: `[items]`, `p_i` from `nominal_shares`.
        temperature: the paper's beta; a lower one gives more weight to large errors.
    """
    items = table[1:]
    size = chunk_size(items)
    weights = shares / temperature
    chunks = zip(torch.split(queries, size), torch.split(next_items - 1, size), strict=True)
    return torch.cat(
        [checkpoint(_soft_maximum, *chunk, items, weights, use_reentrant=False) for chunk in chunks]
    )


def _soft_maximum(queries: Tensor, next_columns: Tensor, items: Tensor, weights: Tensor) -> Tensor:
    scores = queries @ items.T
    is_next = torch.nn.functional.one_hot(next_columns, len(items))
    return torch.logsumexp(weights * (scores - is_next) ** 2, dim=1)
