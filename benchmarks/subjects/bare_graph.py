"""Runs a bundle's graphs without the service around them, on one thread."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from export.contract.tensors import TENSORS

GraphRun = Callable[[list[int], int], Sequence[NDArray[Any]]]
"""A function of a history in item indices and `k`, to item indices and scores, `[1, k]` each."""

BatchRun = Callable[[Sequence[list[int]], int], Sequence[NDArray[Any]]]
"""The same of histories with windows of one length; its results are `[batch, k]` each."""

OUTPUTS = (TENSORS.item_indices, TENSORS.scores)


def common_case_run(path: Path) -> GraphRun:
    """Opens the common-case graph in the file `path`; returns a function that runs it."""
    session = _open_session(path)

    def run(history: list[int], k: int) -> Sequence[NDArray[Any]]:
        feeds = {TENSORS.history: np.array([history]), TENSORS.k: np.array([k])}
        answers: Sequence[NDArray[Any]] = session.run(OUTPUTS, feeds)
        return answers

    return run


def common_case_batch_run(path: Path) -> BatchRun:
    """Opens the common-case graph; returns a function that runs it on several histories at once.

    Windows are the newest items of histories, as many as the student reads; all must have the same
    length, since the graph knows no padding.
    """
    session = _open_session(path)

    def run(histories: Sequence[list[int]], k: int) -> Sequence[NDArray[Any]]:
        longest = max(map(len, histories))
        rows = [[0] * (longest - len(each)) + each for each in histories]  # before the windows
        feeds = {TENSORS.history: np.array(rows), TENSORS.k: np.array([k])}
        answers: Sequence[NDArray[Any]] = session.run(OUTPUTS, feeds)
        return answers

    return run


def ranking_run(path: Path) -> GraphRun:
    """Opens the ranking graph in the file `path`; returns a function that runs it.

    The function uses no filters or added items, and leaves out seen items.
    """
    session = _open_session(path)
    rows, hidden = {each.name: each.shape for each in session.get_outputs()}[TENSORS.table]
    constant = {
        TENSORS.excluded: np.zeros((1, 1), dtype=np.int64),
        TENSORS.allowed: np.ones((1, rows), dtype=np.bool_),
        TENSORS.mask_seen: np.array(True),
        TENSORS.added: np.zeros((0, hidden), dtype=np.float32),
    }

    def run(history: list[int], k: int) -> Sequence[NDArray[Any]]:
        feeds = {TENSORS.history: np.array([history]), TENSORS.k: np.array([k])}
        answers: Sequence[NDArray[Any]] = session.run(OUTPUTS, feeds | constant)
        return answers

    return run


def _open_session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
