"""What all losses share: scores, the total, and the normaliser of the softmax over the catalog.

`-log softmax(y)_i = log_normaliser - y_i`: the normaliser is the dear part, so it is computed once
per position and shared by the next-item loss and the distillation loss.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CACHED_SCORES = 2**19  # 2 MB of scores at a time stay in a core's cache
KEPT_SCORES = 2**24  # 64 MB of them may wait for the way back
NUM_GROUPS = 128  # of scores to look for the best in


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

    Args:
        queries: `[positions, hidden]`.
        table: `[catalog rows, hidden]`; row 0 is padding and left out.
    """
    return log_normaliser_and_kth_best(queries, table, 0)[0]


def log_normaliser_and_kth_best(queries: Tensor, table: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """`log_normaliser`, and in the same pass the K-th best score of each position, constant.

    Works in chunks that stay in the cache; takes half the time of
    `(queries @ table.T).logsumexp(1)`. With `k = 0` the second tensor is empty.
    """
    normaliser, kth_best = _LogNormaliser.apply(queries, table[1:], k)  # type: ignore[no-untyped-call]  # torch's
    return normaliser, kth_best


class _LogNormaliser(torch.autograd.Function):
    """Keeps `exp(score - highest)` for the way back where that is small, else computes it again."""

    @staticmethod
    def forward(context: Any, queries: Tensor, items: Tensor, k: int) -> tuple[Tensor, Tensor]:
        keeps = len(queries) * len(items) <= KEPT_SCORES
        highest, sums, kth_best, kept = [], [], [], []
        for chunk in torch.split(queries, chunk_size(items)):
            scores = chunk @ items.T
            if k:
                kth_best.append(kth_best_of(scores, k))
            highest.append(scores.amax(dim=1))
            odds = scores.sub_(highest[-1][:, None]).exp_()
            sums.append(odds.sum(dim=1))
            if keeps:
                kept.append(odds)
        top, total = torch.cat(highest), torch.cat(sums)
        context.save_for_backward(queries, items, top, total)
        context.kept = kept
        best = torch.cat(kth_best) if k else total.new_empty(0)
        context.mark_non_differentiable(best)
        return top + total.log(), best

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, Tensor, None]:
        queries, items, highest, sums = context.saved_tensors
        to_queries, to_items = torch.empty_like(queries), torch.zeros_like(items)
        size, scale = chunk_size(items), (gradient / sums)[:, None]
        for number, begin in enumerate(range(0, len(queries), size)):
            chunk = slice(begin, begin + size)
            if context.kept:
                odds = context.kept[number]
            else:
                odds = (queries[chunk] @ items.T).sub_(highest[chunk, None]).exp_()
            torch.mul(odds @ items, scale[chunk], out=to_queries[chunk])
            to_items.addmm_(odds.T, queries[chunk] * scale[chunk])
        return to_queries, to_items, None


@torch.no_grad()
def kth_best_scores(queries: Tensor, table: Tensor, k: int) -> Tensor:
    """The K-th best score over the real items, `[positions]`."""
    items = table[1:]
    chunks = torch.split(queries, chunk_size(items))
    return torch.cat([kth_best_of(each @ items.T, k) for each in chunks])


def kth_best_of(scores: Tensor, k: int) -> Tensor:
    """The K-th best of each line, `[lines]`: the best K lie in the K groups with the best heads.

    That leaves few scores to sort, and takes a third of the time of `topk` on a large catalog. A
    line of fewer than `k` scores gives its worst.
    """
    k = min(k, scores.shape[1])
    among = scores
    if (size := scores.shape[1] // NUM_GROUPS) and k < NUM_GROUPS:
        whole = size * NUM_GROUPS
        grouped, rest = torch.split(scores, [whole, scores.shape[1] - whole], dim=1)
        groups = grouped.view(len(scores), size, NUM_GROUPS)
        heads = groups.amax(dim=1).topk(k, sorted=False).indices
        best = groups.gather(2, heads[:, None].expand(-1, size, -1)).flatten(1)
        among = torch.cat([best, rest], dim=1)
    return among.topk(k, sorted=False).values.amin(dim=1)


def chunk_size(items: Tensor) -> int:
    """How many queries to score at a time."""
    scores = CACHED_SCORES if items.device.type == "cpu" else KEPT_SCORES
    return max(16, scores // len(items))
