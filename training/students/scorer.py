"""`StudentScorer`: scores all items with a trained student for examples of a dataset.

A student that reads only some items (`ItemTable.readable`) may read none of a history. Popularity
answers then, as in the service.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from training.compute.device import making_on
from training.data.dataset import Dataset
from training.data.histories import pad_histories, read_items
from training.students.student import Student


class StudentScorer:
    """A `Scorer` of `evaluation/yardstick.py`; sets the student to `eval()`, keeps no gradients."""

    def __init__(self, student: Student, dataset: Dataset) -> None:
        self.student = student.eval()
        self.dataset = dataset
        self.readable = student.item_table.readable_rows()
        self.popularity = popularity_scores(dataset)

    @torch.no_grad()
    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores all items after the history of each of `rows`, `[rows, catalog rows]`."""
        histories = [read_items(self.dataset.history(int(row)), self.readable) for row in rows]
        length = min(self.student.max_history_length, max(1, *map(len, histories)))
        device = self.student.item_table.padding.device
        padded = torch.from_numpy(pad_histories(histories, length)).to(device)
        with making_on(device):
            scores: NDArray[np.float32] = self.student.score(padded).cpu().numpy()
        scores[[not len(history) for history in histories]] = self.popularity
        return scores


def popularity_scores(dataset: Dataset) -> NDArray[np.float32]:
    """Scores items by their training interactions, `[catalog rows]`; of equals, the first is best.

    A score is minus the place in that order, which is an exact float.
    """
    counts = dataset.train_counts()[1:]
    scores = np.full(dataset.catalog.num_rows, -np.inf, dtype=np.float32)
    scores[np.argsort(-counts, kind="stable") + 1] = -np.arange(len(counts), dtype=np.float32)
    return scores
