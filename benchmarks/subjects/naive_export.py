"""Exports a student to ONNX naively: torch traces its whole forward pass, and nothing is optimised.

The graph encodes every position of a window that is padded to full length. It scores all items,
leaves out those of the window, and takes the best.
"""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor, nn

from benchmarks.load.workloads import K
from training.data.histories import pad_histories
from training.students.student import Student


class NaiveRanker(nn.Module):
    """A torch module that ranks the whole catalog after each window; its `forward` is exported."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Maps windows, `[batch, max_history_length]`, to the best items, best first.

        Returns:
            Scores and item indices, each `[batch, K]`.
        """
        table = self.student.item_table()
        queries = self.student.encode(windows, table)[:, -1]
        scores = queries @ table.T
        if self.student.pair_bonus is not None:
            scores = scores + self.student.pair_bonus(windows)
        scores = scores.scatter(1, windows, -torch.inf)
        scores[:, 0] = -torch.inf
        best = torch.topk(scores, K)
        return best.values, best.indices


def export_naively(student: Student, path: Path) -> None:
    """Writes the naive graph of `student` to the file `path`."""
    example = torch.ones(2, student.max_history_length, dtype=torch.int64)
    logger = logging.getLogger("torch.onnx")
    logger.setLevel(logging.ERROR)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            NaiveRanker(student).eval(),
            (example,),
            path,
            dynamo=True,
            input_names=["windows"],
            output_names=["scores", "item_indices"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            external_data=False,
            verbose=False,
        )


def naive_run(path: Path, length: int) -> Callable[[list[int]], list[tuple[int, float]]]:
    """Opens the naive graph in the file `path`; returns a function that ranks after one history.

    The function uses one thread, as the service does. It pads the history to `length` items.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(history: list[int]) -> list[tuple[int, float]]:
        windows = pad_histories([np.array(history)], length)
        indices, scores = session.run(["item_indices", "scores"], {"windows": windows})
        return list(zip(indices[0].tolist(), scores[0].tolist(), strict=True))

    return run
