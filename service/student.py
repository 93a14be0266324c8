"""The student as the service sees it: the bundle's graph in an onnxruntime session."""

import math
from collections.abc import Sequence

import numpy as np
import onnxruntime as ort

from export.bundle import TENSORS, Bundle, BundleError
from service.errors import StudentError

Ranking = Sequence[tuple[int, float]]
"""Item indices and scores, best first."""

_OUTPUTS = [TENSORS.item_indices, TENSORS.scores]
_NOTHING = np.zeros((1, 1), dtype=np.int64)


class Student:
    """Ranks the catalog for a history; safe to call from several threads."""

    def __init__(self, bundle: Bundle) -> None:
        """Opens the graph.

        Raises:
            BundleError: onnxruntime cannot open it.
        """
        try:
            self._session = ort.InferenceSession(
                bundle.model_path, _session_options(), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's errors have no base of their own
            raise BundleError(f"{bundle.model_path}: {error}") from error
        self._everything = np.ones((1, len(bundle.items) + 1), dtype=np.bool_)

    def rank(
        self, history: Sequence[int], k: int, *, excluded: Sequence[int] = (), mask_seen: bool
    ) -> Ranking:
        """The best `k` items after `history`, fewer if fewer may be answered.

        Raises:
            StudentError: onnxruntime failed.
        """
        feeds = {
            TENSORS.history: np.array([history], dtype=np.int64),  # [1, length]
            TENSORS.excluded: np.array([excluded], dtype=np.int64) if excluded else _NOTHING,
            TENSORS.allowed: self._everything,  # [1, items + 1]
            TENSORS.mask_seen: np.array(mask_seen),
            TENSORS.k: np.array([k], dtype=np.int64),
        }
        try:
            item_indices, scores = self._session.run(_OUTPUTS, feeds)
        except Exception as error:  # onnxruntime's errors have no base of their own
            raise StudentError(str(error)) from error
        pairs = zip(item_indices[0].tolist(), scores[0].tolist(), strict=True)
        return [(index, score) for index, score in pairs if math.isfinite(score)]


def _session_options() -> ort.SessionOptions:
    # A run takes less than a millisecond: threads that wait for work cost more than they bring.
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options
