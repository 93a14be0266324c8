"""Fits the parameters that all cold items share: a common offset and a projection of titles.

They are fitted on validation examples, after training. The student's weights do not change. The
projection is used for cold items only, in addition to the student's projection of title embeddings.
The formula of a cold item's vector is in `students/cold_items.py`. `cold_start.py` calls this
module, and chooses the bonus: the mean amount that is added to the scores of cold items.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from training.compute.device import making_on
from training.data.dataset import Dataset
from training.data.histories import pad_histories
from training.settings.distillation import DistillationConfig
from training.students.student import Student

MAX_QUERY_VECTORS = 2_048  # maximum number of query vectors that `common_direction` is solved for
# Strength of the ridge penalty in `common_direction`, relative to the mean square of a query
# vector. Without it, the solution would be huge along directions in which query vectors hardly
# vary.
RIDGE = 1e-4
BATCH_SIZE = 512  # maximum number of examples in a step
SEED = 0  # random seed of the order of validation examples

Rows = NDArray[np.int64]
"""Examples, each given as the dataset row of its next item, `[examples]`."""


@dataclass(frozen=True)
class ColdFit:
    """Parameters that all cold items share, fitted on validation examples.

    Attributes:
        projection: `[hidden, columns]`, maps the principal columns of a cold item's title to a
            vector that is added to the item vector.
        offset: `[hidden]`, is added to the vectors of all cold items.
        direction: `[hidden]`, a vector whose product with any query vector is about 1. Adding it to
            an item vector therefore raises the scores of the item by about 1.
    """

    projection: Tensor
    offset: Tensor
    direction: Tensor

    def centred(self, query_vectors: Tensor, columns: Tensor) -> "ColdFit":
        """Returns a copy whose offset and projection do not change the mean score of cold items.

        For that, a multiple of `direction` is subtracted from the offset. The mean is over cold
        items and query vectors.

        Args:
            query_vectors: `[examples, hidden]`.
            columns: `[cold, columns]`, the principal columns of the cold items.
        """
        mean_vector = self.offset + self.projection @ columns.mean(dim=0)
        added = float((query_vectors @ mean_vector).mean())
        return replace(self, offset=self.offset - added * self.direction)

    def offset_with(self, bonus: float) -> Tensor:
        """Returns the offset `[hidden]` that raises the mean score of cold items by `bonus`.

        The fit must be centred, and the returned offset must be used together with `projection`.
        """
        return self.offset + bonus * self.direction


def mean_with(fits: Sequence[ColdFit], bonus: float) -> tuple[Tensor, Tensor]:
    """Returns the mean offset of `fits`, each with `bonus` (`offset_with`), and mean projection."""
    offsets = torch.stack([fit.offset_with(bonus) for fit in fits])
    return offsets.mean(dim=0), torch.stack([fit.projection for fit in fits]).mean(dim=0)


def centred_fit(
    student: Student,
    dataset: Dataset,
    rows: Rows,
    untouched: Tensor,
    donors: Tensor,
    settings: DistillationConfig,
) -> ColdFit:
    """Fits the shared offset and the shared projection of cold items to the examples `rows`.

    The fit is centred: offset and projection together do not change the mean score of cold items.

    Args:
        student: the trained student. As a side effect, its cold items get vectors from titles and
            donors only. The caller must give them vectors with the returned fit.
        dataset: the dataset of the examples.
        rows: the examples to fit to.
        untouched: mask `[items]` of the items that training neither read nor predicted.
        donors: mask `[items]` of the donors.
        settings: have the number of steps, and the learning rates.
    """
    query_vectors = place_by_donors(student, dataset, rows, untouched, donors)
    columns = student.item_table.columns_of(untouched)
    direction = common_direction(query_vectors)
    start = ColdFit(columns.new_zeros(len(direction), columns.shape[1]), direction, direction)
    fit = fit_from(start, student, dataset, rows, untouched, settings)
    return fit.centred(query_vectors, columns)


def place_by_donors(
    student: Student, dataset: Dataset, rows: Rows, untouched: Tensor, donors: Tensor
) -> Tensor:
    """Gives cold items vectors from titles and donors only, then computes query vectors.

    The offset and the projection that cold items share are set to 0.

    Args:
        student: the trained student; the vectors of its cold items are replaced.
        dataset: the dataset of the examples.
        rows: the examples to compute query vectors of. At most `MAX_QUERY_VECTORS` of them, evenly
            spaced, are used.
        untouched: mask `[items]` of the items that training neither read nor predicted.
        donors: mask `[items]` of the donors.

    Returns:
        The query vectors, `[used examples, hidden]`.
    """
    table = student.item_table
    columns = table.columns_of(untouched)
    no_offset = torch.zeros_like(table.cold_items.offset)
    no_projection = columns.new_zeros(len(no_offset), columns.shape[1])
    table.place_cold_items(untouched, donors, no_offset, no_projection)
    return _query_vectors(student, dataset, rows[:: len(rows) // MAX_QUERY_VECTORS + 1])


def common_direction(query_vectors: Tensor) -> Tensor:
    """Finds the vector `[hidden]` whose products with all query vectors are nearest to 1.

    This is a least-squares problem, solved with a ridge penalty. `query_vectors` is
    `[examples, hidden]`.
    """
    exact = query_vectors.double()
    square = exact.T @ exact / len(exact)
    square.diagonal().add_(RIDGE * square.diagonal().mean())
    direction: Tensor = torch.linalg.solve(square, exact.mean(dim=0))
    return direction.float()


def fit_from(
    start: ColdFit,
    student: Student,
    dataset: Dataset,
    rows: Rows,
    untouched: Tensor,
    settings: DistillationConfig,
) -> ColdFit:
    """Fits the projection and the offset to the next items of the examples `rows`.

    Takes `settings.cold_steps` steps of Adam on the full-softmax cross-entropy of the student's
    scores, which contain its pair bonus. `student` is not changed.

    Args:
        start: initial projection and offset.
        student: the trained student, after `place_by_donors`.
        dataset: the dataset of the examples.
        rows: the examples to fit to.
        untouched: mask `[items]` of the items that training neither read nor predicted.
        settings: have the number of steps, and the learning rates.
    """
    device = start.offset.device
    cold = untouched.to(device).nonzero()[:, 0] + 1  # row 0: padding
    table = student.eval().item_table().detach()
    columns = student.item_table.columns_of(untouched)
    offset = start.offset.clone().requires_grad_()
    projection = start.projection.clone().requires_grad_()
    optimiser = torch.optim.Adam([offset], lr=settings.cold_offset_rate)
    optimiser.add_param_group({"params": [projection], "lr": settings.cold_projection_rate})
    for batch in _batches(rows, settings.cold_steps):
        moved = table.index_add(0, cold, offset + columns @ projection.T)
        # `eval()` switches dropout off. cuDNN has no backward pass of a GRU in `eval()`.
        with making_on(device), torch.backends.cudnn.flags(enabled=False):
            scores = student.score(_histories(student, dataset, batch), moved)
        next_items = torch.from_numpy(dataset.item_indices[batch].astype(np.int64)).to(device)
        loss = functional.cross_entropy(scores, next_items)
        offset.grad, projection.grad = torch.autograd.grad(loss, [offset, projection])
        optimiser.step()
    return ColdFit(projection.detach(), offset.detach(), start.direction)


def _batches(rows: Rows, steps: int) -> Iterator[Rows]:
    """Yields `steps` random batches of `rows`; no row is repeated before all have been used."""
    generator = np.random.default_rng(SEED)
    rounds = -(-steps * BATCH_SIZE // len(rows))
    order = np.concatenate([generator.permutation(rows) for _ in range(rounds)])
    for step in range(steps):
        yield order[step * BATCH_SIZE : (step + 1) * BATCH_SIZE]


def _histories(student: Student, dataset: Dataset, rows: Rows) -> Tensor:
    histories = [dataset.history(int(row)) for row in rows]
    padded = torch.from_numpy(pad_histories(histories, student.max_history_length))
    return padded.to(student.item_table.padding.device)


@torch.no_grad()
def _query_vectors(student: Student, dataset: Dataset, rows: Rows) -> Tensor:
    """Computes the query vectors of the examples `rows`, `[rows, hidden]`."""
    with making_on(student.item_table.padding.device):
        query_vectors: Tensor = student.eval().encode_newest(
            _histories(student, dataset, rows), student.item_table()
        )
    return query_vectors
