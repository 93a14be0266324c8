"""Cold items: what one that nobody has touched yet has in place of an offset.

Its title alone says too little of it to reach the heights where trained items compete, so without
more it is hardly ever shown. All of them get one offset, which adds the same to the score of each
whatever the query. How much, validation picks: it is as good as the catalog is honest. Where an
item stands in the catalog only because somebody will take it, every cold one looks promising.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.dataset import Dataset, Split
from training.data.histories import pad_histories
from training.device import making_on
from training.distillation.batches import TrainingWindows
from training.evaluation.yardstick import SELECTION_METRIC
from training.students.student import Student

# What may be added to a score; e ** that is how much likelier a cold item becomes.
BONUSES = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
MOST_QUERIES = 2_048
RIDGE = 1e-4  # of the mean square of a query, against directions that queries hardly have

Metrics = Mapping[str, float]


def untouched_items(dataset: Dataset, windows: TrainingWindows) -> Tensor:
    """`[items]`, which are neither read nor predicted in training."""
    touched = np.zeros(dataset.catalog.num_rows, dtype=np.bool_)
    touched[dataset.item_indices[windows.readable]] = True
    touched[dataset.item_indices[windows.predicted]] = True
    return torch.from_numpy(~touched[1:])


def place_cold_items(
    student: Student, dataset: Dataset, untouched: Tensor, judge: Callable[[], Metrics]
) -> tuple[float, Metrics]:
    """Gives `untouched` items the best of `BONUSES`, the first of equals; and what it brings.

    Args:
        student: trained, with LLM embeddings.
        dataset: its validation histories tell what queries have in common.
        untouched: `[items]`, see `untouched_items`.
        judge: metrics of `student` as it is, on validation.
    """
    table = student.item_table
    direction = common_direction(_queries(student, dataset))
    brought = []
    for bonus in BONUSES:
        table.place_cold_items(untouched, bonus * direction)
        brought.append(judge())
    best = int(np.argmax([each[SELECTION_METRIC] for each in brought]))
    table.place_cold_items(untouched, BONUSES[best] * direction)
    return BONUSES[best], brought[best]


def common_direction(queries: Tensor) -> Tensor:
    """The vector whose product with each of `queries` `[queries, hidden]` is nearest to 1."""
    exact = queries.double()
    square = exact.T @ exact / len(exact)
    square.diagonal().add_(RIDGE * square.diagonal().mean())
    direction: Tensor = torch.linalg.solve(square, exact.mean(dim=0))
    return direction.float()


@torch.no_grad()
def _queries(student: Student, dataset: Dataset) -> Tensor:
    """What `student` asks for after validation histories, `[queries, hidden]`."""
    rows: NDArray[np.int64] = dataset.example_rows(Split.VALIDATION)
    some = rows[:: len(rows) // MOST_QUERIES + 1]
    histories = [dataset.history(int(row)) for row in some]
    device = student.item_table.padding.device
    padded = torch.from_numpy(pad_histories(histories, student.max_history_length)).to(device)
    with making_on(device):
        queries: Tensor = student.eval().encode_newest(padded, student.item_table())
    return queries
