"""`StudentScorer`: scores all items with a trained student for examples of a dataset.

If a student reads none of a history's items (`ItemTable.readable`), items are scored by popularity,
as in the service.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from training.compute.device import making_on
from training.data.dataset import Dataset
from training.data.histories import pad_histories, read_items
from training.students.student import Student


class StudentScorer:
    """Scores all items with a trained student; a `Scorer` of `training/evaluation/yardstick.py`.

    Switches the student to `eval()`, and computes no gradients.
    """

    def __init__(self, student: Student, dataset: Dataset) -> None:
        self.student = student.eval()
        self.dataset = dataset
        self.readable = student.item_table.readable_rows()
        self.popularity = popularity_scores(dataset)

    @torch.no_grad()
    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores all items after the history of each row in `rows`, `[rows, catalog rows]`.

        `rows` are row numbers of examples in the dataset. Padding gets -inf.
        """
        histories = [read_items(self.dataset.history(int(row)), self.readable) for row in rows]
        length = min(self.student.max_history_length, max(1, *map(len, histories)))
        device = self.student.item_table.padding.device
        padded = torch.from_numpy(pad_histories(histories, length)).to(device)
        with making_on(device):
            scores: NDArray[np.float32] = self.student.score(padded).cpu().numpy()
        scores[[not len(history) for history in histories]] = self.popularity
        return scores


def popularity_scores(dataset: Dataset) -> NDArray[np.float32]:
    """Scores items by number of training interactions, `[catalog rows]`.

    The scores are 0, -1, -2 and so on from the most popular item down, which float32 holds exactly.
    Among items with equal numbers, the lowest item_index comes first. Padding gets -inf.
    """
    counts = dataset.train_counts()[1:]
    scores = np.full(dataset.catalog.num_rows, -np.inf, dtype=np.float32)
    scores[np.argsort(-counts, kind="stable") + 1] = -np.arange(len(counts), dtype=np.float32)
    return scores
