"""Cold items: what one that nobody has touched yet has in place of an offset.

Its title alone says too little of it to reach the heights where trained items compete, so without
more it is hardly ever shown. It gets the offsets of the titles next to its own, and one offset that
all cold items share. That one is learned, through the frozen student, from what validation tells:
whether the next item was a cold one. As cold items have it where they are read, too, a history that
holds some of them asks for more of them. How far all of it goes, a price decides: the share of warm
NDCG@20 that it may cost. Half of the users teach the offset, the others choose.

It is as good as the catalog is honest. Where an item stands in the catalog only because somebody
will take it, every cold one looks promising.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from training.data.dataset import Dataset, Split
from training.data.histories import pad_histories
from training.device import making_on
from training.distillation.batches import TrainingWindows
from training.evaluation.yardstick import SELECTION_METRIC, Evaluation, evaluate, ranker_of
from training.students.scorer import StudentScorer
from training.students.student import Student

# What is added to the score of a cold item beside what was learned; the last leaves hardly any.
SHIFTS = tuple(-0.125 * number for number in range(21))
MOST_QUERIES = 2_048
RIDGE = 1e-4  # of the mean square of a query, against directions that queries hardly have
# Few steps: with more, the chance of a cold item is told better, and which items come first worse.
STEPS, BATCH_SIZE, LEARNING_RATE = 15, 512, 0.02
SEED = 0  # of the order in which validation examples teach

Rows = NDArray[np.int64]


def untouched_items(dataset: Dataset, windows: TrainingWindows) -> Tensor:
    """`[items]`, which are neither read nor predicted in training."""
    touched = np.zeros(dataset.catalog.num_rows, dtype=np.bool_)
    touched[dataset.item_indices[windows.readable]] = True
    touched[dataset.item_indices[windows.predicted]] = True
    return torch.from_numpy(~touched[1:])


@dataclass(frozen=True)
class Place:
    """An offset of cold items and what it brings: NDCG@20 of all targets, and of warm ones."""

    offset: Tensor | None
    every: float
    warm: float


def place_cold_items(student: Student, dataset: Dataset, untouched: Tensor, price: float) -> float:
    """Gives `untouched` items the best place that costs no more than `price`.

    Args:
        student: trained, with LLM embeddings.
        dataset: its validation examples teach and choose.
        untouched: `[items]`, see `untouched_items`.
        price: share of warm NDCG@20 that may be lost.

    Returns:
        What their scores gain on average; 0 if they are best left where they are.
    """
    teaching, choosing = _two_halves(dataset)
    if len(teaching) == 0 or len(choosing) == 0:
        return 0.0
    table = student.item_table
    left = table.offsets.detach().clone()
    places = [_judged(student, dataset, choosing, untouched, None)]
    table.place_cold_items(untouched, torch.zeros_like(table.cold_offset))
    direction = common_direction(_queries(student, dataset, _some(choosing)))
    learned = learned_offset(student, dataset, teaching, untouched, direction)
    for shift in SHIFTS:
        table.place_cold_items(untouched, learned + shift * direction)
        offset = table.cold_offset.clone()
        places.append(_judged(student, dataset, choosing, untouched, offset))
    best = best_place(places, price)
    if best.offset is None:
        table.offsets.data.copy_(left)
        table.cold_offset.zero_()
        table.touched = None
        return 0.0
    table.place_cold_items(untouched, best.offset)
    return float((_queries(student, dataset, _some(choosing)) @ best.offset).mean())


def best_place(places: list[Place], price: float) -> Place:
    """The best one, the first of equals, that keeps what the first has of warm NDCG@20."""
    due = (1 - price) * places[0].warm
    return max((each for each in places if each.warm >= due), key=lambda each: each.every)


def common_direction(queries: Tensor) -> Tensor:
    """The vector whose product with each of `queries` `[queries, hidden]` is nearest to 1."""
    exact = queries.double()
    square = exact.T @ exact / len(exact)
    square.diagonal().add_(RIDGE * square.diagonal().mean())
    direction: Tensor = torch.linalg.solve(square, exact.mean(dim=0))
    return direction.float()


def learned_offset(
    student: Student, dataset: Dataset, rows: Rows, untouched: Tensor, start: Tensor
) -> Tensor:
    """The offset `[hidden]` with which scores tell best whether the next item is a cold one.

    Logistic regression, by Adam from `start` on: the softmax share of all cold items together is
    the chance that the next one is cold. The student stays as it is.
    """
    device = start.device
    is_cold = torch.cat([torch.zeros(1, dtype=torch.bool), untouched.cpu()]).to(device)
    table = student.eval().item_table().detach()
    offset = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([offset], lr=LEARNING_RATE)
    for some in _batches(rows):
        moved = table + is_cold[:, None] * offset
        with making_on(device):
            queries = student.encode_newest(_histories(student, dataset, some), moved)
        next_items = torch.from_numpy(dataset.item_indices[some].astype(np.int64)).to(device)
        logits = cold_logits(queries @ moved.T, is_cold)
        loss = functional.binary_cross_entropy_with_logits(logits, is_cold[next_items].float())
        (offset.grad,) = torch.autograd.grad(loss, [offset])
        optimiser.step()
    return offset.detach()


def cold_logits(scores: Tensor, is_cold: Tensor) -> Tensor:
    """The log odds `[batch]` that the next item is cold.

    Args:
        scores: `[batch, catalog rows]`, padding first, which is no item.
        is_cold: `[catalog rows]`.
    """
    real = scores[:, 1:]
    cold = real.masked_fill(~is_cold[1:], -torch.inf).logsumexp(dim=1)
    return cold - real.masked_fill(is_cold[1:], -torch.inf).logsumexp(dim=1)


def _two_halves(dataset: Dataset) -> tuple[Rows, Rows]:
    """Validation examples of every other user, and of the others."""
    rows = dataset.example_rows(Split.VALIDATION)
    users = np.unique(dataset.user_of_row[rows], return_inverse=True)[1]
    return rows[users % 2 == 0], rows[users % 2 == 1]


def _batches(rows: Rows) -> Iterator[Rows]:
    """`STEPS` of them, each example as often as any other."""
    generator = np.random.default_rng(SEED)
    rounds = -(-STEPS * BATCH_SIZE // len(rows))
    order = np.concatenate([generator.permutation(rows) for _ in range(rounds)])
    for step in range(STEPS):
        yield order[step * BATCH_SIZE : (step + 1) * BATCH_SIZE]


def _judged(
    student: Student, dataset: Dataset, rows: Rows, untouched: Tensor, offset: Tensor | None
) -> Place:
    found = evaluate(ranker_of(StudentScorer(student, dataset), dataset), dataset, rows)
    is_warm = ~untouched.cpu().numpy()[dataset.item_indices[rows] - 1]
    warm = Evaluation(rows[is_warm], found.ranks[is_warm]).metrics if is_warm.any() else {}
    return Place(offset, found.metrics[SELECTION_METRIC], warm.get(SELECTION_METRIC, 0.0))


def _some(rows: Rows) -> Rows:
    return rows[:: len(rows) // MOST_QUERIES + 1]


def _histories(student: Student, dataset: Dataset, rows: Rows) -> Tensor:
    histories = [dataset.history(int(row)) for row in rows]
    padded = torch.from_numpy(pad_histories(histories, student.max_history_length))
    return padded.to(student.item_table.padding.device)


@torch.no_grad()
def _queries(student: Student, dataset: Dataset, rows: Rows) -> Tensor:
    """What `student` asks for after the histories of `rows`, `[rows, hidden]`."""
    with making_on(student.item_table.padding.device):
        queries: Tensor = student.eval().encode_newest(
            _histories(student, dataset, rows), student.item_table()
        )
    return queries
