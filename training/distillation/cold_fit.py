"""Fits what all cold items share to validation examples, with the student frozen.

`distillation/cold_start.py` decides how much of it is placed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from training.compute.device import making_on
from training.data.dataset import Dataset
from training.data.histories import pad_histories
from training.students.student import Student

MAX_QUERIES = 2_048
RIDGE = 1e-4  # of the mean square of a query, against directions that queries hardly have
# Few steps: after more, histories of the weeks after validation are read less well. A low rate of
# the projection: at a higher one it fits the items of validation, and other cold items less well.
STEPS, BATCH_SIZE, LEARNING_RATE, PROJECTION_RATE = 15, 512, 0.04, 0.002
SEED = 0  # of the order of validation examples

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class ColdFit:
    """Parameters of all cold items, fitted on some validation examples.

    Attributes:
        projection: `[hidden, columns]`, see `ColdItems`.
        offset: `[hidden]`; together with `projection` it adds nothing to scores of cold items, on
            average over them and over queries.
        direction: `[hidden]`; adds about 1 to every score.
    """

    projection: Tensor
    offset: Tensor
    direction: Tensor

    def offset_with(self, bonus: float) -> Tensor:
        """The offset `[hidden]` that adds `bonus` on average, together with `projection`."""
        return self.offset + bonus * self.direction


def centred_fit(
    student: Student, dataset: Dataset, rows: Rows, untouched: Tensor, donors: Tensor
) -> ColdFit:
    """Fits cold items on the examples `rows` and shifts the offset so that it adds 0 on average.

    Leaves `student` with cold items placed by title and donors only.
    """
    table = student.item_table
    columns = table.columns_of(untouched)
    no_offset = torch.zeros_like(table.cold_items.offset)
    no_projection = columns.new_zeros(len(no_offset), columns.shape[1])
    table.place_cold_items(untouched, donors, no_offset, no_projection)
    queries = _queries(student, dataset, rows[:: len(rows) // MAX_QUERIES + 1])
    direction = common_direction(queries)
    start = ColdFit(no_projection, direction, direction)
    fit = fit_from(start, student, dataset, rows, untouched)
    mean_vector = fit.offset + fit.projection @ columns.mean(dim=0)
    added = float((queries @ mean_vector).mean())
    return ColdFit(fit.projection, fit.offset - added * direction, direction)


def common_direction(queries: Tensor) -> Tensor:
    """The vector `[hidden]` whose products with `queries` `[queries, hidden]` are nearest to 1."""
    exact = queries.double()
    square = exact.T @ exact / len(exact)
    square.diagonal().add_(RIDGE * square.diagonal().mean())
    direction: Tensor = torch.linalg.solve(square, exact.mean(dim=0))
    return direction.float()


def fit_from(
    start: ColdFit, student: Student, dataset: Dataset, rows: Rows, untouched: Tensor
) -> ColdFit:
    """Fits projection and offset to the next items of the examples `rows`, the student frozen.

    `STEPS` steps of Adam from `start` on, with full-softmax cross-entropy.
    """
    device = start.offset.device
    cold = untouched.to(device).nonzero()[:, 0] + 1  # row 0: padding
    table = student.eval().item_table().detach()
    columns = student.item_table.columns_of(untouched)
    offset = start.offset.clone().requires_grad_()
    projection = start.projection.clone().requires_grad_()
    optimiser = torch.optim.Adam([offset], lr=LEARNING_RATE)
    optimiser.add_param_group({"params": [projection], "lr": PROJECTION_RATE})
    for batch in _batches(rows):
        moved = table.index_add(0, cold, offset + columns @ projection.T)
        # cuDNN has no backward pass of a GRU in `eval()`, where dropout is off.
        with making_on(device), torch.backends.cudnn.flags(enabled=False):
            queries = student.encode_newest(_histories(student, dataset, batch), moved)
        next_items = torch.from_numpy(dataset.item_indices[batch].astype(np.int64)).to(device)
        loss = functional.cross_entropy(queries @ moved[1:].T, next_items - 1)
        offset.grad, projection.grad = torch.autograd.grad(loss, [offset, projection])
        optimiser.step()
    return ColdFit(projection.detach(), offset.detach(), start.direction)


def _batches(rows: Rows) -> Iterator[Rows]:
    """`STEPS` batches; no example comes a second time before all have come once."""
    generator = np.random.default_rng(SEED)
    rounds = -(-STEPS * BATCH_SIZE // len(rows))
    order = np.concatenate([generator.permutation(rows) for _ in range(rounds)])
    for step in range(STEPS):
        yield order[step * BATCH_SIZE : (step + 1) * BATCH_SIZE]


def _histories(student: Student, dataset: Dataset, rows: Rows) -> Tensor:
    histories = [dataset.history(int(row)) for row in rows]
    padded = torch.from_numpy(pad_histories(histories, student.max_history_length))
    return padded.to(student.item_table.padding.device)


@torch.no_grad()
def _queries(student: Student, dataset: Dataset, rows: Rows) -> Tensor:
    """Queries of `student` after the histories of `rows`, `[rows, hidden]`."""
    with making_on(student.item_table.padding.device):
        queries: Tensor = student.eval().encode_newest(
            _histories(student, dataset, rows), student.item_table()
        )
    return queries
