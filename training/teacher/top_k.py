"""Top K: answers with the nearest unseen items, given the distances of any kind of teacher."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.catalog import PADDING_INDEX
from training.data.dataset import Dataset
from training.evaluation.stored import answers_ranker
from training.evaluation.yardstick import LIST_LENGTH, evaluate, seen_items
from training.knowledge import Answers
from training.progress import Advance, ProgressBar, ignore_progress

BATCH_SIZE = 512

Distances = Callable[[NDArray[np.int64]], Tensor]
"""Example rows in, the teacher's distances of the whole catalog out, `[rows, catalog rows]`."""


def answer(
    distances: Distances,
    dataset: Dataset,
    rows: NDArray[np.int64],
    list_length: int = LIST_LENGTH,
) -> Answers:
    """Returns the nearest `list_length` unseen items for each of `rows` (ascending)."""
    with ProgressBar("answering", len(rows), "example") as bar:
        return _answer_in_batches(distances, dataset, rows, list_length, bar.advance)


def teacher_metrics(
    distances: Distances,
    dataset: Dataset,
    rows: NDArray[np.int64],
    advance: Advance = ignore_progress,
) -> dict[str, float]:
    """Evaluates a teacher with such `distances` on the examples `rows` (ascending).

    `advance` is called with the number of examples answered since its last call.
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
    batches = [rows[begin : begin + BATCH_SIZE] for begin in range(0, len(rows), BATCH_SIZE)]
    parts = []
    for batch in batches or [rows]:  # no rows still make a table, an empty one
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
    """Ranked items with their distances.

    Attributes:
        rankings: `[examples, K]`, item indices, nearest first; padding fills a short list.
        distances: `[examples, K]`.
    """

    rankings: NDArray[np.int32]
    distances: NDArray[np.float32]


def nearest_items(distances: Tensor, forbidden: Tensor, list_length: int) -> NearestItems:
    """Returns the nearest items that are not forbidden.

    Items of the same title are equally near. As with a student, only the item itself is a hit.

    Args:
        distances: `[examples, catalog rows]`.
        forbidden: `[examples, catalog rows]`, items to leave out.
        list_length: K.
    """
    allowed = distances.masked_fill(forbidden, torch.inf)
    allowed[:, PADDING_INDEX] = torch.inf
    nearest = allowed.topk(min(list_length, allowed.shape[1] - 1), dim=1, largest=False)
    missing = nearest.values.isinf()  # a user who has seen nearly everything has a short list
    return NearestItems(
        rankings=nearest.indices.masked_fill(missing, PADDING_INDEX).int().numpy(),
        distances=nearest.values.masked_fill(missing, 2.0).numpy(),
    )
