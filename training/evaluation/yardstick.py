"""Measures any ranker: the ranks of next items in the full catalog, and their metrics.

A ranker is a function, so the same code measures a torch student, a baseline, stored teacher
answers and the exported bundle.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from training.data.catalog import PADDING_INDEX
from training.data.dataset import Dataset, indices_among
from training.evaluation.metrics import hit_rates, ndcgs, ranks_of

LIST_LENGTH = 20
CUTOFFS = (1, 5, 10, 20)
# Metric on the validation examples that chooses epochs, settings and the exported student.
SELECTION_METRIC = "NDCG@20"
BATCH_SIZE = 512
MAX_SCORES = 1 << 26  # number of scores that a batch holds at most, a quarter of a gigabyte

Scorer = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""A function from dataset rows of examples to scores of all items, `[rows, catalog rows]`."""


class Ranker(Protocol):
    """A function that recommends unseen items for each example; examples are dataset rows."""

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.integer]:
        """Returns the indices of the recommended items, `[rows, LIST_LENGTH]`, best first.

        A ranking with fewer items ends in padding, 0.
        """
        ...


@dataclass(frozen=True)
class Evaluation:
    """The ranks that one ranker gives to the next items of some examples.

    Ranks are stored rather than means, so that two rankers can be compared example by example.

    Attributes:
        rows: `[examples]`, dataset rows of the next items.
        ranks: `[examples]`, rank of each next item, from 1; 0 if it is not among the
            recommendations.
    """

    rows: NDArray[np.int64]
    ranks: NDArray[np.int64]

    @property
    def metrics(self) -> Mapping[str, float]:
        """Means of HR@k and NDCG@k over the examples, for each k of `CUTOFFS`, by metric name."""
        hits = {f"HR@{k}": float(hit_rates(self.ranks, k).mean()) for k in CUTOFFS}
        gains = {f"NDCG@{k}": float(ndcgs(self.ranks, k).mean()) for k in CUTOFFS}
        return hits | gains

    def of(self, rows: NDArray[np.int64]) -> "Evaluation":
        """Returns the evaluation restricted to some of its examples.

        Args:
            rows: `[part]`, dataset rows of the part, ascending.

        Raises:
            KnowledgeError: a row is not in this evaluation.
        """
        return Evaluation(rows, self.ranks[indices_among(self.rows, rows)])


def evaluate(ranker: Ranker, dataset: Dataset, rows: NDArray[np.int64]) -> Evaluation:
    """Measures a ranker: recommends for each example, and finds the rank of its next item.

    Args:
        ranker: ranker to measure; called with batches of rows.
        dataset: dataset of the examples.
        rows: `[examples]`, dataset rows of the next items.

    Raises:
        ValueError: `rows` is empty, or the ranker returns a seen item.
    """
    if len(rows) == 0:
        raise ValueError(f"dataset {dataset.name!r}: no examples to evaluate")
    ranks = []
    for batch in batches_of(rows, dataset):
        rankings = ranker(batch)[:, :LIST_LENGTH]
        _refuse_seen(rankings, dataset, batch)
        ranks.append(ranks_of(dataset.item_indices[batch], rankings))
    return Evaluation(rows=rows, ranks=np.concatenate(ranks))


def ranker_of(scorer: Scorer, dataset: Dataset, length: int = LIST_LENGTH) -> Ranker:
    """Returns a ranker that sorts items by `scorer` and leaves out padding and seen items.

    An item whose score is not finite is not recommended: else a student whose weights overflowed
    would have the figures of an arbitrary order.

    Args:
        scorer: scores all items; a higher score is better.
        dataset: dataset of the examples and their histories.
        length: number of items in a ranking.
    """

    def rank(rows: NDArray[np.int64]) -> NDArray[np.integer]:
        scores = torch.from_numpy(scorer(rows))
        scores[torch.from_numpy(seen_items(dataset, rows))] = -torch.inf
        scores[:, PADDING_INDEX] = -torch.inf
        best = scores.topk(min(length, dataset.catalog.num_items), dim=1)
        rankings: NDArray[np.integer] = best.indices.numpy()
        return np.where(best.values.isfinite().numpy(), rankings, PADDING_INDEX)

    return rank


def batch_size(dataset: Dataset) -> int:
    """Returns the number of examples to rank at once: fewer if the catalog is large."""
    return max(1, min(BATCH_SIZE, MAX_SCORES // dataset.catalog.num_rows))


def batches_of(rows: NDArray[np.int64], dataset: Dataset) -> list[NDArray[np.int64]]:
    """Divides examples into batches to rank at once, of `batch_size`; the last may be shorter.

    Without examples there is one empty batch, whose results are arrays of length 0.
    """
    size = batch_size(dataset)
    return [rows[begin : begin + size] for begin in range(0, max(1, len(rows)), size)]


def seen_items(dataset: Dataset, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Returns a mask of the items in the history of each row, `[rows, catalog rows]`."""
    seen = np.zeros((len(rows), dataset.catalog.num_rows), dtype=np.bool_)
    for line, row in enumerate(rows):
        seen[line, dataset.history(int(row))] = True
    return seen


def _refuse_seen(rankings: NDArray[np.integer], dataset: Dataset, rows: NDArray[np.int64]) -> None:
    answered_seen = np.take_along_axis(seen_items(dataset, rows), rankings, axis=1)
    if answered_seen.any():
        line, place = np.argwhere(answered_seen)[0]
        raise ValueError(
            f"row {rows[line]}: the ranker returned item {rankings[line, place]}, which is in the "
            "history; a ranker must leave out seen items"
        )
