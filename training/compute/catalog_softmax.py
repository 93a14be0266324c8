"""Softmax over the whole catalog, the most expensive part of training.

The cross-entropy of item `i` is `-log softmax(y)_i = log_normaliser - y_i`, where `y` are the
scores of all items for a query vector. One pass over the catalog computes the normaliser and the
scores that losses need.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag

from training.compute.device import multiplies_halves

CACHED_SCORES = 2**19  # scores in a chunk: 2 MB stay in a core's cache
STORED_SCORES = 2**24  # maximum number of scores stored for the backward pass, 64 MB
NUM_GROUPS = 128  # number of groups that `kth_best_of` divides scores into
# Range of the sums of unshifted exponentials. It is far within the limits of float32 and bfloat16,
# 1e-38 and 3e38, so no exponential that matters was rounded to 0 or infinity.
SMALLEST_SUM, LARGEST_SUM = 1e-20, 1e30


class Upweighted(NamedTuple):
    """Items at the end of a catalog that each count as several items in the sum of exponentials.

    Attributes:
        begin: position of the first upweighted item, from 0, the padding row not counted. All later
            items are upweighted, too.
        log_weight: natural logarithm of the number of items that an upweighted item counts as.
    """

    begin: int
    log_weight: float


def softmax_of_catalog(
    queries: Tensor,
    table: Tensor,
    selected: Tensor,
    k: int = 0,
    max_stored: int = STORED_SCORES,
    upweighted: Upweighted | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Computes the log-normaliser, scores of selected items and the K-th best score in one pass.

    Args:
        queries: `[positions, hidden]`, query vectors.
        table: `[catalog rows, hidden]`, item vectors; row 0 is padding and left out.
        selected: `[positions, M]`, item indices; the score of padding is undefined.
        k: rank of the K-th best score, from 1; 0 skips it. The result is exact unless it exceeds
            the scores of all items in `selected[:, 1:]`. Then it may be too low, but still exceeds
            them, so comparisons of these scores with it are right.
        max_stored: maximum number of scores to store for the backward pass. If there are more, the
            backward pass computes all of them again.
        upweighted: items that each count as several in the log-normaliser; None for no such items.

    Returns:
        Three tensors: the log-normaliser `log sum_i exp(query . e_i)` over all items,
        `[positions]`; the scores of the selected items, `[positions, M]`; and the K-th best score,
        `[positions]`. The K-th best score has no gradient and is undefined if `k` is 0.
    """
    places = (selected - 1).clamp(min=0)
    return _CatalogSoftmax.apply(queries, table[1:], places, k, max_stored, upweighted)  # type: ignore[no-untyped-call, no-any-return]  # torch's


_LookUp = Callable[[slice, Tensor], None]
"""A function that is called with a chunk of queries and their scores, `[chunk, items]`."""


def _look_up_nothing(chunk: slice, scores: Tensor) -> None:
    pass


class _Exponentials:
    """Unnormalised exponentials of the scores of all items for each query vector.

    Sums of exponentials are divided by the normaliser, instead of every exponential, which is far
    cheaper. The exponentials are first computed from the scores as they are. If a sum is out of
    range, all are computed again, after the highest score of each query is subtracted from its
    scores.

    Args:
        queries: `[positions, hidden]`, query vectors.
        items: `[items, hidden]`, item vectors.
        max_stored: maximum number of exponentials to store.
        upweighted: items whose exponentials are multiplied by a weight; None if there are none.

    Attributes:
        sums: `[positions]`, the sum of the exponentials of each query.
        weighted_items: `[positions, hidden]`, the sum of all item vectors, each multiplied by its
            exponential.
        stored: `[positions, items]`, the exponentials; None if there are more than `max_stored`.
        shifts: `[positions]`, the number subtracted from the scores of each query; None if nothing
            is subtracted.
    """

    sums: Tensor
    weighted_items: Tensor

    def __init__(
        self, queries: Tensor, items: Tensor, max_stored: int, upweighted: Upweighted | None
    ) -> None:
        self.upweighted = upweighted
        self.queries = queries
        self.dtype = dtype_of_products(queries)
        self.rounded_queries, self.rounded_items = queries.to(self.dtype), items.to(self.dtype)
        self.columns = self.rounded_items.T.contiguous()
        self.shifts: Tensor | None = None
        self.stored: Tensor | None = None
        if len(queries) * len(items) <= max_stored:
            self.stored = queries.new_empty(len(queries), len(items), dtype=self.dtype)

    def compute(self, look_up: _LookUp) -> None:
        """Computes `sums` and `weighted_items` in chunks of queries.

        Calls `look_up` with each chunk and its scores, `[chunk, items]`, before exponentials
        overwrite the scores. If a sum is out of range, repeats all chunks and these calls with
        shifted exponentials.
        """
        self._sum_up(look_up)
        if not self._is_in_range():
            self.shifts = self.queries.new_zeros(len(self.queries))
            self._sum_up(look_up)

    def log_sums(self) -> Tensor:
        """Returns the logarithms of the sums of the exponentials of the scores, `[positions]`."""
        logarithms = self.sums.log()
        return logarithms if self.shifts is None else logarithms + self.shifts

    def weighted_queries(self, scale: Tensor) -> Tensor:
        """Returns, for each item, the sum of all query vectors times exponential and `scale`.

        `scale` is `[positions, 1]`, one factor per query; the result is `[items, hidden]`.
        """
        weighed = (self.queries * scale).to(self.dtype)
        if self.stored is not None:
            return (self.stored.T @ weighed).to(self.queries.dtype)
        total = torch.zeros_like(self.rounded_items, dtype=self.queries.dtype)
        for chunk, exponentials in self._chunks():
            total += exponentials.T @ weighed[chunk]
        return total

    def _sum_up(self, look_up: _LookUp) -> None:
        if self.stored is not None:  # one large product is faster than many small ones
            torch.mm(self.rounded_queries, self.columns, out=self.stored)
            self._exponentiate(slice(None), self.stored, look_up)
            sums, products = [self.stored.sum(dim=1)], [self.stored @ self.rounded_items]
        else:
            sums, products = [], []
            for _, exponentials in self._chunks(look_up):
                sums.append(exponentials.sum(dim=1))
                products.append(exponentials @ self.rounded_items)
        self.sums = torch.cat(sums).to(self.queries.dtype)
        self.weighted_items = torch.cat(products).to(self.queries.dtype)

    def _chunks(self, look_up: _LookUp = _look_up_nothing) -> Iterator[tuple[slice, Tensor]]:
        """Yields slices of the queries, each with the slice's exponentials, `[chunk, items]`."""
        for chunk in chunks_of(self.queries, self.rounded_items):
            scores = self.rounded_queries[chunk] @ self.columns
            self._exponentiate(chunk, scores, look_up)
            yield chunk, scores

    def _exponentiate(self, chunk: slice, scores: Tensor, look_up: _LookUp) -> None:
        """Calls `look_up` with `scores`, then replaces them in place by their exponentials."""
        look_up(chunk, scores)
        if self.upweighted is not None:
            scores[:, self.upweighted.begin :] += self.upweighted.log_weight
        if self.shifts is not None:
            self.shifts[chunk] = largest = scores.amax(dim=1)
            scores.sub_(largest[:, None])
        scores.exp_()

    def _is_in_range(self) -> bool:
        return bool(((self.sums > SMALLEST_SUM) & (self.sums < LARGEST_SUM)).all())


class _CatalogSoftmax(torch.autograd.Function):
    """The autograd function of `softmax_of_catalog`.

    The forward pass multiplies the exponentials by the item vectors while they are in the CPU
    cache. The backward pass scales this product to get the gradient of the queries. For the
    gradient of the items it needs the exponentials again. It recomputes them if there are more than
    `max_stored`.
    """

    @staticmethod
    def forward(
        context: Any,
        queries: Tensor,
        items: Tensor,
        places: Tensor,
        k: int,
        max_stored: int,
        upweighted: Upweighted | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        exponentials = _Exponentials(queries, items, max_stored, upweighted)
        selected, kth_best = queries.new_empty(places.shape), queries.new_empty(len(queries))

        def look_up(chunk: slice, scores: Tensor) -> None:
            selected[chunk] = scores.gather(1, places[chunk])
            if k:
                compared = selected[chunk, 1:].amax(dim=1) if selected.shape[1] > 1 else None
                kth_best[chunk] = kth_best_of(scores, k, compared)

        exponentials.compute(look_up)
        context.save_for_backward(queries, items, places)
        context.exponentials, context.stored = exponentials, exponentials.stored
        context.mark_non_differentiable(kth_best)
        return exponentials.log_sums(), selected, kth_best

    @staticmethod
    @once_differentiable
    def backward(
        context: Any, to_normaliser: Tensor, to_selected: Tensor, _: Tensor
    ) -> tuple[Tensor, Tensor, None, None, None, None]:
        queries, items, places = context.saved_tensors
        exponentials: _Exponentials = context.exponentials
        scale = (to_normaliser / exponentials.sums)[:, None]
        to_queries = exponentials.weighted_items * scale
        to_items = exponentials.weighted_queries(scale)
        to_queries += embedding_bag(places, items, per_sample_weights=to_selected, mode="sum")
        of_selected = to_selected[..., None] * queries[:, None]  # [positions, M, hidden]
        to_items.index_add_(0, places.flatten(), of_selected.flatten(0, 1))
        return to_queries, to_items, None, None, None, None


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


def kth_best_of(scores: Tensor, k: int, compared: Tensor | None = None) -> Tensor:
    """Returns the K-th best score of each row, `[positions]`.

    Each row is divided into groups of items. The best K scores lie in the K groups with the highest
    maxima, so few scores are left to sort. On a large catalog this takes a third of the time of
    `topk`.

    Args:
        scores: `[positions, items]`.
        k: rank of the score, from 1. With fewer than `k` items, the worst score is returned.
        compared: `[positions]`, a threshold for each row. To save time, the result may be lower
            than the exact K-th best score, but only where it is still above the threshold. With
            None, every result is exact.
    """
    k = min(k, scores.shape[1])
    size = scores.shape[1] // NUM_GROUPS
    if not size or k >= NUM_GROUPS:
        return scores.topk(k, sorted=False).values.amin(dim=1)
    whole = size * NUM_GROUPS  # number of items in groups; the last few are in none
    groups = scores[:, :whole].view(len(scores), size, NUM_GROUPS)
    best_groups = groups.amax(dim=1).topk(k, sorted=False)
    kth_best: Tensor = best_groups.values.amin(dim=1)  # at least k scores are as high
    rows = (kth_best <= (kth_best if compared is None else compared)).nonzero()
    every = torch.arange(scores.shape[1], device=scores.device)
    members = every[:whole:NUM_GROUPS, None] + best_groups.indices[rows]
    rest = every[whole:].expand(len(rows), -1)
    places = torch.cat([members.flatten(1), rest], dim=1) + rows * scores.shape[1]
    among = scores.reshape(-1).index_select(0, places.flatten()).view(places.shape)
    kth_best[rows[:, 0]] = among.topk(k, sorted=False).values.amin(dim=1)
    return kth_best


def chunk_size(items: Tensor) -> int:
    """Returns how many query vectors to score at a time against `items`, `[items, hidden]`."""
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
    Here the products (the scores) are rounded, too.
    """
    rounds = torch.get_float32_matmul_precision() == "medium" and queries.device.type == "cpu"
    return torch.bfloat16 if rounds and multiplies_halves(queries.device) else queries.dtype


@contextmanager
def matmul_precision(name: str) -> Iterator[None]:
    """Context manager that sets torch's precision of float32 matrix products to `name`.

    `highest` computes in float32; with `medium`, torch can round the factors to bfloat16. On exit,
    the previous precision is restored.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(name)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
