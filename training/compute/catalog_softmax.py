"""Softmax over the whole catalog, the most expensive part of training.

The cross-entropy of item `i` is `-log softmax(y)_i = log_normaliser - y_i`, where `y` are the
scores of all items for a query vector. One pass over the catalog computes the normaliser and the
scores that losses need, in chunks that stay in the processor's cache.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag

from training.compute.device import multiplies_halves

CACHED_SCORES = 2**19  # scores in a chunk: 2 MB stay in a core's cache
STORED_SCORES = 2**24  # maximum number of scores stored for the backward pass, 64 MB
NUM_GROUPS = 128  # number of groups that `kth_best_of` divides scores into


def softmax_of_catalog(
    queries: Tensor, table: Tensor, selected: Tensor, k: int = 0, max_stored: int = STORED_SCORES
) -> tuple[Tensor, Tensor, Tensor]:
    """Computes log-normaliser, scores of selected items and K-th best score in one pass.

    Args:
        queries: `[positions, hidden]`, query vectors.
        table: `[catalog rows, hidden]`, item vectors; row 0 is padding and left out.
        selected: `[positions, M]`, item indices; the score of padding is undefined.
        k: rank of the K-th best score, from 1; with 0 it is not computed.
        max_stored: maximum number of scores to store for the backward pass. If there are more, the
            backward pass computes all of them again.

    Returns:
        The log-normaliser `log sum_i exp(query . e_i)` over all items, `[positions]`; scores of the
        selected items, `[positions, M]`; and the K-th best score, `[positions]`, without a gradient
        and undefined if `k` is 0.
    """
    places = (selected - 1).clamp(min=0)
    return _CatalogSoftmax.apply(queries, table[1:], places, k, max_stored)  # type: ignore[no-untyped-call, no-any-return]  # torch's


class _CatalogSoftmax(torch.autograd.Function):
    """The autograd function of `softmax_of_catalog`.

    It stores the softmax for the backward pass if that has at most `max_stored` elements. If it has
    more, the backward pass computes it again.
    """

    @staticmethod
    def forward(
        context: Any, queries: Tensor, items: Tensor, places: Tensor, k: int, max_stored: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        stored, dtype = None, dtype_of_products(queries)
        if len(queries) * len(items) <= max_stored:
            stored = queries.new_empty(len(queries), len(items), dtype=dtype)
        normaliser, kth_best = queries.new_empty(2, len(queries))
        selected = queries.new_empty(places.shape)
        rounded, columns = queries.to(dtype), items.to(dtype).T.contiguous()
        for chunk in chunks_of(queries, items):
            scores = (rounded[chunk] @ columns).to(queries.dtype)
            selected[chunk] = scores.gather(1, places[chunk])
            if k:
                kth_best[chunk] = kth_best_of(scores, k)
            shares = scores.softmax(dim=1)  # faster than its parts, and than logsumexp
            normaliser[chunk] = scores.amax(dim=1) - shares.amax(dim=1).log()
            if stored is not None:
                stored[chunk] = shares
        context.save_for_backward(queries, items, places, normaliser)
        context.stored, context.dtype = stored, dtype
        context.mark_non_differentiable(kth_best)
        return normaliser, selected, kth_best

    @staticmethod
    @once_differentiable
    def backward(
        context: Any, to_normaliser: Tensor, to_selected: Tensor, _: Tensor
    ) -> tuple[Tensor, Tensor, None, None, None]:
        queries, items, places, normaliser = context.saved_tensors
        rounded_items = items.to(context.dtype)
        to_queries = embedding_bag(places, items, per_sample_weights=to_selected, mode="sum")
        to_items = torch.zeros_like(items)
        of_selected = to_selected[..., None] * queries[:, None]  # [positions, M, hidden]
        to_items.index_add_(0, places.flatten(), of_selected.flatten(0, 1))
        scale = to_normaliser[:, None]
        weighed = (queries * scale).to(context.dtype)
        everything = [slice(None)]
        for chunk in chunks_of(queries, items) if context.stored is None else everything:
            if context.stored is None:
                scores = (queries[chunk].to(context.dtype) @ rounded_items.T).to(queries.dtype)
                shares = scores.sub_(normaliser[chunk, None]).exp_().to(context.dtype)
            else:
                shares = context.stored
            to_queries[chunk] += (shares @ rounded_items) * scale[chunk]
            to_items += shares.T @ weighed[chunk]
        return to_queries, to_items, None, None, None


@torch.no_grad()
def kth_best_scores(queries: Tensor, table: Tensor, k: int) -> Tensor:
    """Returns the K-th best score over all items for each query vector, `[positions]`.

    Args:
        queries: `[positions, hidden]`, query vectors.
        table: `[catalog rows, hidden]`, item vectors; row 0 is padding and left out.
        k: rank of the score, from 1.
    """
    items = table[1:]
    parts = torch.split(queries, chunk_size(items))
    return torch.cat([kth_best_of(each @ items.T, k) for each in parts])


def kth_best_of(scores: Tensor, k: int) -> Tensor:
    """Returns the K-th best score of each row, `[positions]`.

    Each row is divided into groups of items. The best K scores lie in the K groups with the highest
    maximum, so few scores are left to sort. On a large catalog this takes a third of the time of
    `topk`.

    Args:
        scores: `[positions, items]`.
        k: rank of the score, from 1. With fewer than `k` items, the worst score is returned.
    """
    k = min(k, scores.shape[1])
    among = scores
    if (size := scores.shape[1] // NUM_GROUPS) and k < NUM_GROUPS:
        whole = size * NUM_GROUPS
        grouped, rest = torch.split(scores, [whole, scores.shape[1] - whole], dim=1)
        groups = grouped.view(len(scores), size, NUM_GROUPS)
        best_groups = groups.amax(dim=1).topk(k, sorted=False).indices
        best = groups.gather(2, best_groups[:, None].expand(-1, size, -1)).flatten(1)
        among = torch.cat([best, rest], dim=1)
    return among.topk(k, sorted=False).values.amin(dim=1)


def chunk_size(items: Tensor) -> int:
    """Returns the number of query vectors to score at a time against `items` `[items, hidden]`."""
    scores = CACHED_SCORES if items.device.type == "cpu" else STORED_SCORES
    return max(16, scores // len(items))


def chunks_of(queries: Tensor, items: Tensor) -> Iterator[slice]:
    """Yields slices that cut `queries` into chunks of `chunk_size(items)` query vectors.

    The last chunk can be shorter.
    """
    size = chunk_size(items)
    return (slice(begin, begin + size) for begin in range(0, len(queries), size))


def dtype_of_products(queries: Tensor) -> torch.dtype:
    """Returns the dtype to compute scores in: bfloat16, or the dtype of `queries`.

    It is bfloat16 if torch's matmul precision is `medium` and `queries` are on a CPU with fast
    bfloat16 products. In `medium`, torch itself rounds only the factors of a product to bfloat16.
    Here the products, which are the scores, are rounded, too.
    """
    rounds = torch.get_float32_matmul_precision() == "medium" and queries.device.type == "cpu"
    return torch.bfloat16 if rounds and multiplies_halves(queries.device) else queries.dtype


@contextmanager
def matmul_precision(name: str) -> Iterator[None]:
    """Context manager that sets torch's precision of float32 matrix products to `name`.

    `highest` computes in float32; with `medium`, torch can round the factors to bfloat16.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(name)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
