"""Makes ranking lists of the nearest unseen items from the distances of any kind of teacher."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.catalog import PADDING_INDEX
from training.data.dataset import Dataset
from training.evaluation.stored import answers_ranker
from training.evaluation.yardstick import LIST_LENGTH, batches_of, evaluate, seen_items
from training.knowledge import Answers
from training.progress import Advance, ProgressBar, ignore_progress

Distances = Callable[[NDArray[np.int64]], Tensor]
"""Function from dataset rows of examples to the teacher's distances, `[rows, catalog rows]`."""


def answer(
    distances: Distances,
    dataset: Dataset,
    rows: NDArray[np.int64],
    list_length: int = LIST_LENGTH,
) -> Answers:
    """Makes the teacher's answers: for each example, the `list_length` nearest unseen items.

    `distances` computes the distances of all items for dataset rows. `rows` are the dataset rows of
    the examples, ascending. A progress bar is shown.
    """
    with ProgressBar("answering", len(rows), "example") as bar:
        return _answer_in_batches(distances, dataset, rows, list_length, bar.advance)


def teacher_metrics(
    distances: Distances,
    dataset: Dataset,
    rows: NDArray[np.int64],
    advance: Advance = ignore_progress,
) -> dict[str, float]:
    """Evaluates a teacher's distances on examples; returns metrics by name, such as `NDCG@20`.

    Args:
        distances: the teacher's distances.
        dataset: the dataset of the examples.
        rows: dataset rows of the examples, ascending.
        advance: called with the number of examples answered since its last call.
    """
    answers = _answer_in_batches(distances, dataset, rows, LIST_LENGTH, advance)
    return dict(evaluate(answers_ranker(answers), dataset, rows).metrics)


@torch.inference_mode()
def _answer_in_batches(
    distances: Distances,
    dataset: Dataset,
    rows: NDArray[np.int64],
    list_length: int,
    advance: Advance,
) -> Answers:
    parts = []
    for batch in batches_of(rows, dataset):
        parts.append(_answer_batch(distances, dataset, batch, list_length))
        advance(len(batch))
    return Answers(
        rows=rows,
        rankings=np.concatenate([part.rankings for part in parts]),
        distances=np.concatenate([part.distances for part in parts]),
        next_item_distances=np.concatenate([part.next_item_distances for part in parts]),
    )


def _answer_batch(
    distances_of: Distances, dataset: Dataset, rows: NDArray[np.int64], list_length: int
) -> Answers:
    distances = distances_of(rows)
    next_items = torch.from_numpy(dataset.item_indices[rows].astype(np.int64))
    next_item_distances = distances.gather(1, next_items[:, None])[:, 0]
    forbidden = torch.from_numpy(seen_items(dataset, rows))
    nearest = nearest_items(distances, forbidden, list_length)
    return Answers(
        rows=rows,
        rankings=nearest.rankings,
        distances=nearest.distances,
        next_item_distances=next_item_distances.numpy(),
    )


@dataclass(frozen=True)
class NearestItems:
    """The nearest items of each example, with their distances.

    Attributes:
        rankings: `[examples, K]`, item indices, nearest first; 0 pads a short list.
        distances: `[examples, K]`, the distance of each item; 2 for padding.
    """

    rankings: NDArray[np.int32]
    distances: NDArray[np.float32]


def nearest_items(distances: Tensor, forbidden: Tensor, list_length: int) -> NearestItems:
    """Ranks, for each example, the nearest items that are not forbidden.

    Args:
        distances: `[examples, catalog rows]`, lower is nearer.
        forbidden: `[examples, catalog rows]`, whether an item must be left out.
        list_length: maximum number K of items in a list; a shorter list is padded with item 0.
    """
    allowed = distances.masked_fill(forbidden, torch.inf)
    allowed[:, PADDING_INDEX] = torch.inf
    nearest = allowed.topk(min(list_length, allowed.shape[1] - 1), dim=1, largest=False)
    missing = nearest.values.isinf()  # fewer than K items are allowed
    return NearestItems(
        rankings=nearest.indices.masked_fill(missing, PADDING_INDEX).int().numpy(),
        distances=nearest.values.masked_fill(missing, 2.0).numpy(),
    )
