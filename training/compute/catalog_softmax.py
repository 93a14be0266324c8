"""The softmax over a whole catalog, which is what training costs most.

`-log softmax(y)_i = log_normaliser - y_i`: each query goes through the catalog once, for all that
losses of cross-entropy ask of it, in chunks that stay in the cache.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag

from training.compute.device import multiplies_halves

CACHED_SCORES = 2**19  # 2 MB of scores at a time stay in a core's cache
KEPT_SCORES = 2**24  # 64 MB of them may wait for the way back
NUM_GROUPS = 128  # of scores to look for the best in


def softmax_of_catalog(
    queries: Tensor, table: Tensor, wanted: Tensor, k: int = 0, most_kept: int = KEPT_SCORES
) -> tuple[Tensor, Tensor, Tensor]:
    """All that the losses of cross-entropy need, from one pass over the catalog.

    Works in chunks that stay in the cache; what comes back to the scores comes back in one product.

    Args:
        queries: `[positions, hidden]`.
        table: `[catalog rows, hidden]`; row 0 is padding and left out.
        wanted: `[positions, M]`, items; what padding scores is undefined.
        k: of the K-th best score; 0 where nobody asks for it.
        most_kept: scores that may wait for the way back; more are computed again there.

    Returns:
        `log sum_i exp(query . e_i)` over the real items, `[positions]`; the scores of the wanted
        ones, `[positions, M]`; and the K-th best score, `[positions]`, a constant.
    """
    places = (wanted - 1).clamp(min=0)
    return _CatalogSoftmax.apply(queries, table[1:], places, k, most_kept)  # type: ignore[no-untyped-call, no-any-return]  # torch's


class _CatalogSoftmax(torch.autograd.Function):
    """Keeps every item's share for the way back where that is small, else computes it again."""

    @staticmethod
    def forward(
        context: Any, queries: Tensor, items: Tensor, places: Tensor, k: int, most_kept: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        kept, dtype = None, dtype_of_products(queries)
        if len(queries) * len(items) <= most_kept:
            kept = queries.new_empty(len(queries), len(items), dtype=dtype)
        normaliser, kth_best = queries.new_empty(2, len(queries))
        wanted = queries.new_empty(places.shape)
        rounded, columns = queries.to(dtype), items.to(dtype).T.contiguous()
        for chunk in chunks_of(queries, items):
            scores = (rounded[chunk] @ columns).to(queries.dtype)
            wanted[chunk] = scores.gather(1, places[chunk])
            if k:
                kth_best[chunk] = kth_best_of(scores, k)
            shares = scores.softmax(dim=1)  # quicker than its parts, and than logsumexp
            normaliser[chunk] = scores.amax(dim=1) - shares.amax(dim=1).log()
            if kept is not None:
                kept[chunk] = shares
        context.save_for_backward(queries, items, places, normaliser)
        context.kept, context.dtype = kept, dtype
        context.mark_non_differentiable(kth_best)
        return normaliser, wanted, kth_best

    @staticmethod
    @once_differentiable
    def backward(
        context: Any, to_normaliser: Tensor, to_wanted: Tensor, _: Tensor
    ) -> tuple[Tensor, Tensor, None, None, None]:
        queries, items, places, normaliser = context.saved_tensors
        rounded_items = items.to(context.dtype)
        to_queries = embedding_bag(places, items, per_sample_weights=to_wanted, mode="sum")
        to_items = torch.zeros_like(items)
        of_wanted = to_wanted[..., None] * queries[:, None]  # [positions, M, hidden]
        to_items.index_add_(0, places.flatten(), of_wanted.flatten(0, 1))
        scale = to_normaliser[:, None]
        weighed = (queries * scale).to(context.dtype)
        everything = [slice(None)]
        for chunk in chunks_of(queries, items) if context.kept is None else everything:
            if context.kept is None:
                scores = (queries[chunk].to(context.dtype) @ rounded_items.T).to(queries.dtype)
                shares = scores.sub_(normaliser[chunk, None]).exp_().to(context.dtype)
            else:
                shares = context.kept
            to_queries[chunk] += (shares @ rounded_items) * scale[chunk]
            to_items += shares.T @ weighed[chunk]
        return to_queries, to_items, None, None, None


@torch.no_grad()
def kth_best_scores(queries: Tensor, table: Tensor, k: int) -> Tensor:
    """The K-th best score over the real items, `[positions]`."""
    items = table[1:]
    parts = torch.split(queries, chunk_size(items))
    return torch.cat([kth_best_of(each @ items.T, k) for each in parts])


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


def chunks_of(queries: Tensor, items: Tensor) -> Iterator[slice]:
    """Slices of queries to score at a time."""
    size = chunk_size(items)
    return (slice(begin, begin + size) for begin in range(0, len(queries), size))


def dtype_of_products(queries: Tensor) -> torch.dtype:
    """What products with `queries` are rounded to: bfloat16 where torch's precision is `medium`.

    More than torch itself does then: not only what is multiplied is rounded, the scores are too.
    """
    rounds = torch.get_float32_matmul_precision() == "medium" and queries.device.type == "cpu"
    return torch.bfloat16 if rounds and multiplies_halves(queries.device) else queries.dtype


@contextmanager
def matmul_precision(name: str) -> Iterator[None]:
    """Has torch multiply matrices of float32 in `name` of precision within the block."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(name)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
