"""Runs exported graphs in onnxruntime, for the export's own checks and for tests.

To answer requests, the service runs the same files with its own code, `service.ranking.graphs`.
"""

from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from export.contract.tensors import TENSORS

IntArray = NDArray[np.integer]


class RankingSession:
    """A ranking graph, opened in onnxruntime.

    `num_items` is the number of items in its table, without padding.
    """

    def __init__(self, path: Path, num_threads: int = 0) -> None:
        """Opens the file `path`, to run it with `num_threads` threads; 0 uses one per core."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = num_threads
        self._session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        shapes = {each.name: each.shape for each in self._session.get_outputs()}
        self.num_items = int(shapes[TENSORS.table][0]) - 1
        self._nothing_added = np.zeros((0, shapes[TENSORS.table][1]), dtype=np.float32)

    def rank(
        self,
        histories: IntArray,
        k: int,
        *,
        mask_seen: bool,
        excluded: IntArray | None = None,
        allowed: NDArray[np.bool_] | None = None,
        added: NDArray[np.float32] | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Runs the graph; returns item indices and scores, `[batch, min(k, items + added)]` each.

        Items are ordered best first. If too few items are allowed, item index 0 and score -inf
        fill the rest.

        Args:
            histories: `[batch, length]`, item indices, oldest first; 0 is padding.
            k: number of items to return for each history.
            mask_seen: whether to leave out the items of each history.
            excluded: `[batch, excluded]`, item indices to leave out; None for none.
            allowed: `[batch or 1, items + added + 1]`, whether each item may be returned; None
                allows all.
            added: `[added, hidden]`, item vectors of added items, which get the item indices after
                those of the table; None for none.
        """
        added = self._nothing_added if added is None else added
        nothing = np.zeros((len(histories), 0), dtype=np.int64)
        everything = np.ones((1, self.num_items + len(added) + 1), dtype=np.bool_)
        feeds = {
            TENSORS.history: histories.astype(np.int64),
            TENSORS.excluded: nothing if excluded is None else excluded.astype(np.int64),
            TENSORS.allowed: everything if allowed is None else allowed,
            TENSORS.mask_seen: np.array(mask_seen),
            TENSORS.k: np.array([k], dtype=np.int64),
            TENSORS.added: added,
        }
        item_indices, scores = self._session.run([TENSORS.item_indices, TENSORS.scores], feeds)
        return item_indices, scores


class CommonCaseSession:
    """A common-case graph, opened in onnxruntime."""

    def __init__(self, path: Path) -> None:
        self._session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])

    def rank(self, histories: IntArray, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Runs the graph; returns item indices of the best unseen items and their scores.

        Both arrays are `[batch, k]`, best first. A score is -inf if the graph could not prove which
        item belongs at this position.

        Args:
            histories: `[batch, length]`, item indices, oldest first; padding only before them. The
                student must read the same number of items, at least 1, of each history.
            k: number of items, at most `MAX_COMMON_CASE_K` and the number of items in the table.
        """
        feeds = {TENSORS.history: histories.astype(np.int64), TENSORS.k: np.array([k])}
        item_indices, scores = self._session.run([TENSORS.item_indices, TENSORS.scores], feeds)
        return item_indices, scores
