"""What an engineer writes who serves the same graph without this project: no more, no less.

A click is stored with four Redis commands in one round trip, the history is read back, the graph
runs with the options that suit it best, and the answer holds ids, titles and scores. Left out, to
the rivals' gain: idempotency, fallbacks, filters, added items, metrics, problem documents.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from pydantic import BaseModel

from export.contract.bundle import Bundle, BundleLayout, load_bundle
from export.contract.tensors import TENSORS

Run = Callable[[list[int], int], Sequence[NDArray[Any]]]
"""Item indices and scores, `[1, k]` each, of a history and `k`."""

OUTPUTS = (TENSORS.item_indices, TENSORS.scores)
KEPT = 200
TTL_SECONDS = 7 * 24 * 3600


class Visit(BaseModel):
    """The body of a request."""

    session_id: str
    item_id: str
    k: int


def opened_bundle() -> Bundle:
    """The bundle that BUNDLE_PATH names."""
    return load_bundle(Path(os.environ["BUNDLE_PATH"]))


def store(pipeline: Any, visit: Visit) -> Any:
    """Fills a pipeline whose last result is the history, oldest first."""
    key = f"visit:{visit.session_id}"
    pipeline.rpush(key, visit.item_id)
    pipeline.ltrim(key, -KEPT, -1)
    pipeline.expire(key, TTL_SECONDS)
    return pipeline.lrange(key, 0, -1)


class Ranker:
    """A graph or a module, and the names of what it ranks."""

    def __init__(
        self, bundle: Bundle, rank: Callable[[list[int], int], tuple[list[int], list[float]]]
    ) -> None:
        self._items = bundle.items
        self._index_of = {each.item_id: place for place, each in enumerate(bundle.items, start=1)}
        self._rank = rank

    def recommend(self, item_ids: Sequence[str], k: int) -> dict[str, Any]:
        """The answer, ready to be made JSON."""
        history = [self._index_of[each] for each in item_ids if each in self._index_of]
        indices, scores = self._rank(history, k)
        items = [self._items[index - 1] for index in indices]
        return {
            "items": [
                {"item_id": item.item_id, "title": item.title, "score": score}
                for item, score in zip(items, scores, strict=True)
            ]
        }


def onnx_ranker() -> Ranker:
    """The bundle's own graph of plain questions, in a session with the service's options."""
    bundle = opened_bundle()
    run = plain_run(BundleLayout(bundle.folder).common_case)

    def rank(history: list[int], k: int) -> tuple[list[int], list[float]]:
        indices, scores = run(history, k)
        return indices[0].tolist(), scores[0].tolist()

    return Ranker(bundle, rank)


def plain_run(plain: Path) -> Run:
    """A function that runs a graph of plain questions on one history and does nothing else."""
    session = _opened(plain)

    def run(history: list[int], k: int) -> Sequence[NDArray[Any]]:
        feeds = {TENSORS.history: np.array([history]), TENSORS.k: np.array([k])}
        answers: Sequence[NDArray[Any]] = session.run(OUTPUTS, feeds)
        return answers

    return run


def ranking_run(model: Path) -> Run:
    """The same of a ranking graph."""
    session = _opened(model)
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


def _opened(graph: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
