"""`StudentScorer`: scores all items with a trained student for examples of a dataset."""

import numpy as np
import torch
from numpy.typing import NDArray

from training.compute.device import making_on
from training.data.dataset import Dataset
from training.data.histories import pad_histories
from training.students.student import Student


class StudentScorer:
    """A `Scorer` of `evaluation/yardstick.py`; sets the student to `eval()`, keeps no gradients."""

    def __init__(self, student: Student, dataset: Dataset) -> None:
        self.student = student.eval()
        self.dataset = dataset

    @torch.no_grad()
    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores all items after the history of each of `rows`, `[rows, catalog rows]`."""
        histories = [self.dataset.history(int(row)) for row in rows]
        length = min(self.student.max_history_length, max(map(len, histories)))
        device = self.student.item_table.padding.device
        padded = torch.from_numpy(pad_histories(histories, length)).to(device)
        with making_on(device):
            scores: NDArray[np.float32] = self.student.score(padded).cpu().numpy()
        return scores
