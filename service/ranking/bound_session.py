"""One question after another, with as little around the graph's run as can be.

What is the same object as in the run before stays bound, histories of one length are written where
the last one stood, and answers land in arrays that stand ready: onnxruntime is handed nothing new.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from export.contract.tensors import TENSORS

Feeds = Mapping[str, NDArray[np.generic]]


class BoundSession:
    """Runs of a ranking graph for single questions of one length and `k`; of one thread at a time.

    Args:
        session: of the graph.
        length: of the histories.
        num_answered: of items.
    """

    def __init__(self, session: ort.InferenceSession, length: int, num_answered: int) -> None:
        self._session = session
        self._binding = session.io_binding()
        self._bound: dict[str, NDArray[np.generic]] = {}
        self._history = np.zeros((1, length), dtype=np.int64)
        self._binding.bind_cpu_input(TENSORS.history, self._history)
        self._item_indices = np.zeros((1, num_answered), dtype=np.int64)
        self._scores = np.zeros((1, num_answered), dtype=np.float32)
        self._answer_into(TENSORS.item_indices, self._item_indices)
        self._answer_into(TENSORS.scores, self._scores)

    def _answer_into(self, name: str, array: NDArray[np.generic]) -> None:
        place = array.ctypes.data
        self._binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, place)

    def __call__(
        self, history: Sequence[int], others: Feeds
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Item indices and scores, `[num_answered]` each, until the next run.

        Args:
            history: of that length.
            others: all inputs but it.
        """
        self._history[0] = history
        for name, value in others.items():
            if self._bound.get(name) is not value:
                self._bound.pop(name, None)  # an interrupt may come between the next two
                self._binding.bind_cpu_input(name, value)
                self._bound[name] = value
        self._session.run_with_iobinding(self._binding)
        return self._item_indices[0], self._scores[0]
