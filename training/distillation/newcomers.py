"""Newcomers: what an item that nobody has touched yet has in place of an offset.

Its title alone says too little of it to reach the heights where trained items compete, so without
more it is never shown, however many of the next interactions will be with newcomers. All of them
get one offset, which adds the same to the score of each for whoever asks. How much, validation
picks; there newcomers are among the next items as they will be when the student serves.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.dataset import Dataset, Split
from training.data.histories import pad_histories
from training.device import making_on
from training.students.student import Student

# What may be added to a score; e ** that is how much likelier a newcomer becomes.
BONUSES = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
MOST_QUERIES = 2_048
RIDGE = 1e-4  # of the mean square of a query, against directions that queries hardly have


def place_newcomers(student: Student, dataset: Dataset, judge: Callable[[], float]) -> float:
    """Gives the untrained items of `student` the best of `BONUSES` by `judge`, and tells which.

    The first of equals; none where no item is untrained.
    """
    table, untrained = student.item_table, torch.from_numpy(dataset.train_counts()[1:] == 0)
    rows = dataset.example_rows(Split.VALIDATION)
    if not untrained.any() or not len(rows):
        return 0.0
    direction = common_direction(_queries(student, dataset, rows))
    figures = []
    for bonus in BONUSES:
        table.place_newcomers(untrained, bonus * direction)
        figures.append(judge())
    best = BONUSES[int(np.argmax(figures))]
    table.place_newcomers(untrained, best * direction)
    return best


def common_direction(queries: Tensor) -> Tensor:
    """The vector whose product with each of `queries` `[queries, hidden]` is nearest to 1."""
    exact = queries.double()
    square = exact.T @ exact / len(exact)
    ridge = RIDGE * square.diagonal().mean() * torch.eye(len(square), dtype=torch.float64)
    direction: Tensor = torch.linalg.solve(square + ridge.to(exact.device), exact.mean(dim=0))
    return direction.float()


@torch.no_grad()
def _queries(student: Student, dataset: Dataset, rows: NDArray[np.int64]) -> Tensor:
    """What `student`, in `eval()`, asks for after some histories, `[queries, hidden]`."""
    some = rows[:: len(rows) // MOST_QUERIES + 1]
    histories = [dataset.history(int(row)) for row in some]
    device = student.item_table.padding.device
    padded = torch.from_numpy(pad_histories(histories, student.max_history_length)).to(device)
    with making_on(device):
        queries: Tensor = student.eval().encode_newest(padded, student.item_table())
    return queries
