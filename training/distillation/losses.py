"""What all losses share: scores, the total, and the normaliser of the softmax over the catalog.

`-log softmax(y)_i = log_normaliser - y_i`: the normaliser is the dear part, so it is computed once
per position and shared by the next-item loss and the distillation loss.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CACHED_SCORES = 2**19  # 2 MB of scores at a time stay in a core's cache


def distillation_loss(list_losses: Tensor, weights: Tensor) -> Tensor:
    """`sum_k w_k loss_k` over the teacher's list (paper eq. 5), `[positions]`; both `[.., K]`."""
    return (weights * list_losses).sum(dim=1)


def total_loss(next_item: Tensor, distillation: Tensor, weight: Tensor) -> Tensor:
    """Mean over positions of both losses, `weight` `[positions]` being the teacher's share."""
    return ((1 - weight) * next_item + weight * distillation).mean()


def scores_of(queries: Tensor, table: Tensor, items: Tensor) -> Tensor:
    """Scores of some items per query: `[positions]` or `[positions, K]`, as `items` is."""
    vectors = torch.nn.functional.embedding(items, table)
    if items.dim() == 1:
        return (queries * vectors).sum(dim=1)
    return torch.einsum("nh,nkh->nk", queries, vectors)


def log_normaliser(queries: Tensor, table: Tensor) -> Tensor:
    """`log sum_i exp(query . e_i)` over the real items, `[positions]`.

    Never holds all scores at once, and takes half the time of `(queries @ table.T).logsumexp(1)`.

    Args:
        queries: `[positions, hidden]`.
        table: `[catalog rows, hidden]`; row 0 is padding and left out.
    """
    result: Tensor = _LogNormaliser.apply(queries, table[1:])  # type: ignore[no-untyped-call]  # torch's
    return result


class _LogNormaliser(torch.autograd.Function):
    """Works through the queries in chunks that stay in the cache; recomputes them backward."""

    @staticmethod
    def forward(context: Any, queries: Tensor, items: Tensor) -> Tensor:
        chunks = [
            torch.logsumexp(chunk @ items.T, dim=1)
            for chunk in torch.split(queries, chunk_size(items))
        ]
        result = torch.cat(chunks)
        context.save_for_backward(queries, items, result)
        return result

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        queries, items, result = context.saved_tensors
        to_queries, to_items = torch.empty_like(queries), torch.zeros_like(items)
        size = chunk_size(items)
        for begin in range(0, len(queries), size):
            chunk = slice(begin, begin + size)
            softmax = (queries[chunk] @ items.T).sub_(result[chunk, None]).exp_()
            torch.mul(softmax @ items, gradient[chunk, None], out=to_queries[chunk])
            to_items.addmm_(softmax.T, queries[chunk] * gradient[chunk, None])
        return to_queries, to_items


def chunk_size(items: Tensor) -> int:
    """How many queries to score at a time."""
    return max(16, CACHED_SCORES // len(items))
