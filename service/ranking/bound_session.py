"""Runs an ONNX graph for single queries with little overhead, by onnxruntime's I/O binding.

A bound array is registered with onnxruntime once and used in many runs. Histories of the same
length are copied into one bound input array, and results are written to bound output arrays. Any
other input stays bound until a run has a different array object for it. So most runs pass no new
array to onnxruntime.
"""

import threading
from collections.abc import Sequence
from functools import lru_cache, partial

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from export.contract.tensors import TENSORS
from service.errors import StudentError
from service.ranking.onnx_session import Feeds

_MAX_BOUND_SESSIONS = 256
"""Maximum number of bound sessions of one graph and thread; each takes some kilobytes.

It is enough for every history length with a few values of `k`.
"""

Output = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Item indices and scores of a ranking, best first, `[num_answered]` each."""


class BoundSession:
    """An open graph with bound arrays for one history length and one `k`. Not thread-safe.

    Args:
        session: the open graph.
        length: number of items in each history.
        num_answered: number of items in each ranking that the graph returns, that is `k`.
    """

    def __init__(self, session: ort.InferenceSession, length: int, num_answered: int) -> None:
        self._session = session
        self._binding = session.io_binding()
        self._bound: dict[str, NDArray[np.generic]] = {}
        self._history = np.zeros((1, length), dtype=np.int64)
        self._binding.bind_cpu_input(TENSORS.history, self._history)
        self._item_indices = np.zeros((1, num_answered), dtype=np.int64)
        self._scores = np.zeros((1, num_answered), dtype=np.float32)
        self._bind_output(TENSORS.item_indices, self._item_indices)
        self._bind_output(TENSORS.scores, self._scores)

    def _bind_output(self, name: str, array: NDArray[np.generic]) -> None:
        address = array.ctypes.data
        self._binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, address)

    def __call__(self, history: Sequence[int], other_inputs: Feeds) -> Output:
        """Runs the graph for one history; returns item indices and scores, best first.

        The next run overwrites the returned arrays. `other_inputs` are all inputs except the
        history, by name.
        """
        self._history[0] = history
        for name, value in other_inputs.items():
            if self._bound.get(name) is not value:
                # The old entry is removed first, so that an interrupt between the next two lines
                # leaves no entry for an array that is no longer bound.
                self._bound.pop(name, None)
                self._binding.bind_cpu_input(name, value)
                self._bound[name] = value
        self._session.run_with_iobinding(self._binding)
        return self._item_indices[0], self._scores[0]


class BoundSessions(threading.local):
    """Runs one open ONNX graph by onnxruntime's I/O binding; each thread has its own arrays.

    A thread makes a `BoundSession` for each new pair of history length and `k`. It keeps at most
    `_MAX_BOUND_SESSIONS` of them, and then drops the least recently used one.
    """

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session_for = lru_cache(_MAX_BOUND_SESSIONS)(partial(BoundSession, session))

    def run(self, history: Sequence[int], num_answered: int, other_inputs: Feeds) -> Output:
        """Runs the graph for one history that is not empty; returns item indices and scores.

        Both arrays are ordered best first. The next run in this thread can overwrite them.

        Args:
            history: item indices, oldest first.
            num_answered: number of items that the graph will return for these inputs.
            other_inputs: all inputs of the graph except the history, by name.

        Raises:
            StudentError: onnxruntime failed.
        """
        try:
            return self._session_for(len(history), num_answered)(history, other_inputs)
        except Exception as error:  # onnxruntime's errors have no common base class
            raise StudentError(str(error)) from error
