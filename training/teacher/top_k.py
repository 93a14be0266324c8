"""Answering: the nearest unseen items for every example, whoever measures the distances."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from training.data.catalog import PADDING_INDEX
from training.data.dataset import Dataset
from training.evaluation.stored import answers_ranker
from training.evaluation.yardstick import LIST_LENGTH, evaluate, seen_items
from training.knowledge import Answers
from training.teacher.matcher import Matcher
from training.teacher.retrieval.states import States

BATCH_SIZE = 512

Distances = Callable[[NDArray[np.int64]], Tensor]
"""Example rows in, the teacher's distances of the whole catalog out, `[rows, catalog rows]`."""


@torch.inference_mode()
def answer(
    distances: Distances,
    dataset: Dataset,
    rows: NDArray[np.int64],
    list_length: int = LIST_LENGTH,
) -> Answers:
    """The teacher's top `list_length` for each of `rows` (ascending), seen items left out."""
    batches = [rows[begin : begin + BATCH_SIZE] for begin in range(0, len(rows), BATCH_SIZE)]
    # Without a row there is still a table, an empty one.
    with tqdm(desc="answering", total=len(rows), unit="history", delay=1) as bar:
        parts = []
        for batch in batches or [rows]:
            parts.append(_answer(distances, dataset, batch, list_length))
            bar.update(len(batch))
    return Answers(
        rows=rows,
        rankings=np.concatenate([part.rankings for part in parts]),
        distances=np.concatenate([part.distances for part in parts]),
        next_item_distances=np.concatenate([part.next_item_distances for part in parts]),
    )


def figures_of(distances: Distances, dataset: Dataset, rows: NDArray[np.int64]) -> dict[str, float]:
    """What a teacher with such `distances` reaches on the examples `rows` (ascending)."""
    answers = answer(distances, dataset, rows)
    return dict(evaluate(answers_ranker(answers), dataset, rows).metrics)


def matched(matcher: Matcher, read: States) -> Distances:
    """The distances that `matcher` sees between what was read and the catalog."""
    matcher.eval()
    with torch.inference_mode():
        items = matcher.items()

    def distances(rows: NDArray[np.int64]) -> Tensor:
        return matcher.distances(torch.from_numpy(read.of(rows).states).float(), items)

    return distances


def _answer(
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
    """`rankings` `[examples, K]`, nearest first, padding behind, and their `distances`."""

    rankings: NDArray[np.int32]
    distances: NDArray[np.float32]


def nearest_items(distances: Tensor, forbidden: Tensor, list_length: int) -> NearestItems:
    """The nearest items that are not forbidden; both tensors are `[examples, catalog rows]`.

    Items of the same title are equally near. As with a student, a hit is the very item.
    """
    allowed = distances.masked_fill(forbidden, torch.inf)
    allowed[:, PADDING_INDEX] = torch.inf
    nearest = allowed.topk(min(list_length, allowed.shape[1] - 1), dim=1, largest=False)
    missing = nearest.values.isinf()  # a user who has seen nearly everything has a short list
    return NearestItems(
        rankings=nearest.indices.masked_fill(missing, PADDING_INDEX).int().numpy(),
        distances=nearest.values.masked_fill(missing, 2.0).numpy(),
    )
