"""Answering: the matcher's nearest unseen items for every state that was read."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.catalog import PADDING_INDEX
from training.data.dataset import Dataset
from training.evaluation.yardstick import LIST_LENGTH, seen_items
from training.teacher.knowledge import Answers
from training.teacher.matching import Matcher
from training.teacher.reading import States

BATCH_SIZE = 512


@torch.inference_mode()
def answer(
    matcher: Matcher, dataset: Dataset, read: States, list_length: int = LIST_LENGTH
) -> Answers:
    """The teacher's top `list_length` for each row of `read`, seen items left out."""
    matcher.eval()
    items = matcher.items()
    parts = [
        _answer(matcher, dataset, read.slice(begin, begin + BATCH_SIZE), items, list_length)
        for begin in range(0, len(read.rows), BATCH_SIZE)
    ]
    return Answers(
        rows=read.rows,
        rankings=np.concatenate([part.rankings for part in parts]),
        distances=np.concatenate([part.distances for part in parts]),
        next_item_distances=np.concatenate([part.next_item_distances for part in parts]),
    )


def _answer(
    matcher: Matcher, dataset: Dataset, read: States, items: Tensor, list_length: int
) -> Answers:
    distances = matcher.distances(torch.from_numpy(read.states).float(), items)
    next_items = torch.from_numpy(dataset.item_indices[read.rows].astype(np.int64))
    next_item_distances = distances.gather(1, next_items[:, None])[:, 0]
    nearest = nearest_items(
        distances, torch.from_numpy(seen_items(dataset, read.rows)), list_length
    )
    return Answers(
        rows=read.rows,
        rankings=nearest.rankings,
        distances=nearest.distances,
        next_item_distances=next_item_distances.numpy(),
    )


@dataclass(frozen=True)
class Nearest:
    """`rankings` `[examples, K]`, nearest first, padding behind, and their `distances`."""

    rankings: NDArray[np.int32]
    distances: NDArray[np.float32]


def nearest_items(distances: Tensor, forbidden: Tensor, list_length: int) -> Nearest:
    """The nearest items that are not forbidden; both tensors are `[examples, catalog rows]`."""
    allowed = distances.masked_fill(forbidden, torch.inf)
    allowed[:, PADDING_INDEX] = torch.inf
    nearest = allowed.topk(min(list_length, allowed.shape[1] - 1), dim=1, largest=False)
    missing = nearest.values.isinf()  # a user who has seen nearly everything has a short list
    return Nearest(
        rankings=nearest.indices.masked_fill(missing, PADDING_INDEX).int().numpy(),
        distances=nearest.values.masked_fill(missing, 2.0).numpy(),
    )
