"""Runs a student: opens its graphs, and chooses for each query the graph that ranks."""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from pathlib import Path

from export.contract.bundle import Bundle, BundleLayout
from export.contract.tensors import COMMON_CASE_TENSORS, ENCODER_TENSORS, TENSORS
from service.errors import StudentError
from service.ranking.batching import answer_by_group
from service.ranking.graphs import CommonCaseGraph, FullGraph
from service.ranking.onnx_session import GraphFile, open_session, run_session
from service.ranking.types import IndexQuery, Mask, Ranking, Vectors

_MAX_INFERENCES = 2  # three inferences of small batches cost more than one of the full graph
_FULL = 0  # in place of a window length: the full graph ranks


class Student:
    """Ranks the items of a bundle and those added to it. Thread-safe.

    The common-case graph ranks where it accepts the query. The full graph ranks all other queries,
    and those for which the common-case graph proves too little.
    """

    def __init__(
        self,
        model: GraphFile,
        common_case: GraphFile | None = None,
        item_encoder: GraphFile | None = None,
        *,
        num_items: int,
        max_history_length: int,
    ) -> None:
        """Opens the graphs of a student of `num_items` items.

        Raises:
            BundleError: onnxruntime cannot open a graph, or it lacks an input or output.
        """
        self._max_history_length = max_history_length
        self._full = FullGraph(open_session(model, astuple(TENSORS)), num_items)
        self._common_case_of_bundle = (
            CommonCaseGraph(open_session(common_case, COMMON_CASE_TENSORS), num_items)
            if common_case
            else None
        )
        self._common_case = self._common_case_of_bundle  # None while there are added items
        self._encoder = (
            open_session(item_encoder, astuple(ENCODER_TENSORS)) if item_encoder else None
        )

    @classmethod
    def of_bundle(cls, bundle: Bundle) -> "Student":
        """Opens the graphs of a bundle.

        Raises:
            BundleError: a graph changed on disk, cannot be opened, or lacks an input or output.
        """
        layout = BundleLayout(bundle.folder)
        return cls(
            GraphFile(layout.model, bundle.read_model()),
            _if_any(layout.common_case, bundle.read_common_case()),
            _if_any(layout.item_encoder, bundle.read_item_encoder()),
            num_items=len(bundle.items),
            max_history_length=bundle.manifest.max_history_length,
        )

    @property
    def embedding_size(self) -> int | None:
        """Length of the LLM embeddings that `encode` reads; None: the bundle has no encoder."""
        return None if self._encoder is None else int(self._encoder.get_inputs()[0].shape[1])

    @property
    def added(self) -> Vectors:
        """Vectors of the added items, `[added, hidden]`."""
        return self._full.added

    @property
    def all_allowed(self) -> Mask:
        """The mask `[items + added + 1]` that allows all items."""
        return self._full.all_allowed

    def with_added(self, vectors: Vectors) -> "Student":
        """Copies the student, with these `[added, hidden]` items beside its own."""
        student = copy.copy(self)
        student._full = self._full.with_added(vectors)
        student._common_case = None if len(vectors) else self._common_case_of_bundle
        return student

    def encode(self, embeddings: Vectors) -> Vectors:
        """Item vectors `[items, hidden]` of LLM embeddings `[items, embedding_size]`.

        Raises:
            StudentError: the bundle has no encoder, or onnxruntime failed.
        """
        if self._encoder is None:
            raise StudentError("the bundle has no item encoder")
        feeds = {ENCODER_TENSORS.embeddings: embeddings}
        vectors: Vectors = run_session(self._encoder, [ENCODER_TENSORS.vectors], feeds)[0]
        return vectors

    def table(self) -> Vectors:
        """The vectors of the bundle's items, `[items + 1, hidden]`.

        Raises:
            StudentError: onnxruntime failed.
        """
        return self._full.table()

    def rank(self, query: IndexQuery) -> Ranking:
        """The best `k` items, fewer if fewer are allowed.

        Raises:
            StudentError: onnxruntime failed.
        """
        if self._common_case is not None and self._common_case.accepts(query):
            ranking = self._common_case.rank_one(query)
            if ranking is not None:
                return ranking
        return self._full.rank_one(query)

    def rank_many(self, queries: Sequence[IndexQuery]) -> list[Ranking]:
        """The rankings of queries of one `k` and one `mask_seen`, in the cheapest inferences.

        Raises:
            StudentError: onnxruntime failed.
        """
        window_lengths = list(map(self._window_length, queries))
        if len(set(window_lengths)) > _MAX_INFERENCES:
            return self._full.rank_many(queries)
        return answer_by_group(queries, window_lengths, self._rank_alike)

    def rank_fully(self, queries: Sequence[IndexQuery]) -> list[Ranking]:
        """The rankings of queries of one `k` and one `mask_seen` by the full graph only.

        Raises:
            StudentError: onnxruntime failed.
        """
        return self._full.rank_many(queries)

    def _window_length(self, query: IndexQuery) -> int:
        """How many items of the history the common-case graph reads; `_FULL` if it is not asked."""
        if self._common_case is None or not self._common_case.accepts(query):
            return _FULL
        return min(len(query.history), self._max_history_length)

    def _rank_alike(self, window_length: int, queries: Sequence[IndexQuery]) -> Iterable[Ranking]:
        if len(queries) == 1:
            return [self.rank(queries[0])]
        if window_length == _FULL or self._common_case is None:
            return self._full.rank_many(queries)
        rankings = self._common_case.rank_many(queries)
        return [
            self.rank(query) if ranking is None else ranking
            for query, ranking in zip(queries, rankings, strict=True)
        ]


def _if_any(path: Path, content: bytes | None) -> GraphFile | None:
    return None if content is None else GraphFile(path, content)
