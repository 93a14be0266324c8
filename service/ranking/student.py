"""Runs a student: opens its ONNX graphs and chooses the graph that ranks a query."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.contract.bundle import Bundle, BundleLayout
from export.contract.tensors import COMMON_CASE_TENSORS, ENCODER_TENSORS, TENSORS
from service.errors import StudentError
from service.ranking.batching import answer_by_group
from service.ranking.catalog import Catalog
from service.ranking.graphs import CommonCaseGraph, RankingGraph
from service.ranking.onnx_session import (
    CPU,
    GraphFile,
    has_table,
    open_session,
    run_session,
    shared_tables,
)
from service.ranking.types import HiddenItems, IndexQuery, Mask, Ranking, Vectors
from service.stores.items.protocol import AddedItem

_MAX_INFERENCES = 2
"""Maximum number of inferences for one batch if the common-case graph ranks a part of the batch.

Three inferences for the parts of a batch take longer than one inference by the ranking graph.
"""

_ENCODED_AT_ONCE = 1_024  # embeddings, which take many times the memory of item vectors

_NOT_COMMON = 0
"""Value in place of the window length of a query that the common-case graph does not accept."""


class Student:
    """Ranks the items of a bundle and added items. Thread-safe.

    The common-case graph ranks the queries that it accepts. The ranking graph ranks all other
    queries. It also ranks a query again if the common-case graph cannot prove that it found the
    best items, or has found a hidden item.
    """

    def __init__(
        self,
        model: GraphFile,
        common_case: GraphFile | None = None,
        item_encoder: GraphFile | None = None,
        *,
        num_items: int,
        max_history_length: int,
        providers: Sequence[str] = CPU,
    ) -> None:
        """Opens the graphs of a student.

        Args:
            model: the ranking graph.
            common_case: the common-case graph; None: the bundle has none.
            item_encoder: the item encoder; None: the bundle has none.
            num_items: number of items of the bundle.
            max_history_length: number of newest items of a history that the student reads.
            providers: names of onnxruntime's execution providers, the preferred one first.

        Raises:
            BundleError: onnxruntime cannot open a graph, or a graph lacks an input or output.
        """
        self._max_history_length = max_history_length
        self._tables = model.tables  # onnxruntime reads them while the session lives
        self._ranking_graph = RankingGraph(
            open_session(model, astuple(TENSORS), providers), num_items
        )
        if TENSORS.table not in self._tables and not has_table(providers):
            by_cpu = RankingGraph(open_session(model, astuple(TENSORS)), num_items)
            self._tables = {**self._tables, TENSORS.table: by_cpu.table()}
        self._common_case_of_bundle = (
            CommonCaseGraph(open_session(common_case, COMMON_CASE_TENSORS, providers), num_items)
            if common_case
            else None
        )
        self._common_case = self._common_case_of_bundle  # None while there are added items
        self._hidden = HiddenItems(b"")
        self._encoder = (
            open_session(item_encoder, astuple(ENCODER_TENSORS), providers)
            if item_encoder
            else None
        )

    @classmethod
    def of_bundle(cls, bundle: Bundle, providers: Sequence[str] = CPU) -> "Student":
        """Makes a student from the graphs of a bundle.

        `providers`: names of onnxruntime's execution providers, the preferred one first.

        Raises:
            BundleError: a graph has changed on disk since the bundle was opened, cannot be opened
                by onnxruntime, or lacks an input or output.
        """
        layout = BundleLayout(bundle.folder)
        return cls(
            GraphFile(layout.model, bundle.read_model(), shared_tables(bundle)),
            _if_any(layout.common_case, bundle.read_common_case()),
            _if_any(layout.item_encoder, bundle.read_item_encoder()),
            num_items=len(bundle.items),
            max_history_length=bundle.manifest.max_history_length,
            providers=providers,
        )

    @property
    def embedding_size(self) -> int | None:
        """Size of the LLM embeddings that `encode` takes; None: the bundle has no item encoder."""
        return None if self._encoder is None else int(self._encoder.get_inputs()[0].shape[1])

    @property
    def added(self) -> Vectors:
        """Item vectors of the added items, `[added, hidden]`."""
        return self._ranking_graph.added

    @property
    def all_allowed(self) -> Mask:
        """Mask that allows all items except hidden ones, `[items + added + 1]` by item index."""
        return self._ranking_graph.all_allowed

    def with_changes(
        self, before: Catalog, after: Catalog, changes: Mapping[str, AddedItem | None]
    ) -> "Student":
        """Returns a copy that ranks the catalog `after`; encodes only the changed added items.

        Args:
            before: the catalog that this student ranks.
            after: the catalog that `changes` have made from `before`.
            changes: the new and the replaced added items by item id; None for removed ones.

        Raises:
            StudentError: onnxruntime failed.
        """
        order = after.added
        if not order.touched:
            return self.with_added(self.added, after.hidden)
        none = np.zeros((1, self.added.shape[1]), dtype=np.float32)  # row -1, of new items
        vectors = np.concatenate([self.added, none])[order.rows_in(before.added)]
        new = [each for each in changes.values() if each]
        for start in range(0, len(new), _ENCODED_AT_ONCE):
            batch = new[start : start + _ENCODED_AT_ONCE]
            rows = [(order.index(each.item_id) or 0) - order.first_index for each in batch]
            vectors[rows] = self.encode(np.stack([each.vector for each in batch]))
        return self.with_added(vectors, after.hidden)

    def with_added(self, vectors: Vectors, hidden: HiddenItems | None = None) -> "Student":
        """Returns a copy that ranks the bundle's items and added items.

        Args:
            vectors: item vectors of all added items, `[added, hidden_size]`. They replace those
                that were added before.
            hidden: the items of bundle and `vectors` that the copy does not rank; None: all are
                ranked.
        """
        student = copy.copy(self)
        student._hidden = hidden or HiddenItems(b"")
        student._ranking_graph = self._ranking_graph.with_added(vectors, hidden)
        student._common_case = None if len(vectors) else self._common_case_of_bundle
        return student

    def encode(self, embeddings: Vectors) -> Vectors:
        """Turns LLM embeddings, `[items, embedding_size]`, into item vectors, `[items, hidden]`.

        Raises:
            StudentError: the bundle has no item encoder, or onnxruntime failed.
        """
        if self._encoder is None:
            raise StudentError("the bundle has no item encoder")
        feeds = {ENCODER_TENSORS.embeddings: embeddings}
        vectors: Vectors = run_session(self._encoder, [ENCODER_TENSORS.vectors], feeds)[0]
        return vectors

    def table(self) -> Vectors:
        """Returns the item vectors of the bundle's items, `[items + 1, hidden]` by item index.

        Raises:
            StudentError: onnxruntime failed.
        """
        if TENSORS.table in self._tables:
            shared: Vectors = self._tables[TENSORS.table]
            return shared
        return self._ranking_graph.table()

    def rank(self, query: IndexQuery) -> Ranking:
        """Returns the best `k` items, or fewer if the query allows fewer.

        Raises:
            StudentError: onnxruntime failed.
        """
        if self._common_case is not None and self._common_case.accepts(query):
            ranking = self._common_case.rank_one(query)
            if ranking is not None and not self._hidden.has_any(ranking):
                return ranking
        return self._ranking_graph.rank_one(query)

    def rank_many(self, queries: Sequence[IndexQuery]) -> list[Ranking]:
        """Ranks several queries in few inferences; returns their rankings in the same order.

        All queries must have the same `k` and `mask_seen`. Those that the common-case graph accepts
        share one of its inferences if they have the same window length. All others share one
        inference of the ranking graph. If this makes more than `_MAX_INFERENCES` inferences, all
        queries share one inference of the ranking graph instead.

        Raises:
            StudentError: onnxruntime failed.
        """
        window_lengths = list(map(self._window_length, queries))
        if len(set(window_lengths)) > _MAX_INFERENCES:
            return self._ranking_graph.rank_many(queries)
        return answer_by_group(queries, window_lengths, self._rank_alike)

    def rank_arrays(self, query: IndexQuery) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Returns the item indices and the scores of the best `k` items, as arrays, best first.

        Both arrays are shorter than `k` if the query allows fewer items.

        Raises:
            StudentError: onnxruntime failed.
        """
        return self._ranking_graph.rank_arrays(query)

    def rank_by_ranking_graph(self, queries: Sequence[IndexQuery]) -> list[Ranking]:
        """Ranks several queries in one inference of the ranking graph, common cases included.

        All queries must have the same `k` and `mask_seen`.

        Raises:
            StudentError: onnxruntime failed.
        """
        return self._ranking_graph.rank_many(queries)

    def _window_length(self, query: IndexQuery) -> int:
        """Returns the number of items of the history that the common-case graph would read.

        Returns `_NOT_COMMON` if the graph does not accept the query.
        """
        if self._common_case is None or not self._common_case.accepts(query):
            return _NOT_COMMON
        return min(len(query.history), self._max_history_length)

    def _rank_alike(self, window_length: int, queries: Sequence[IndexQuery]) -> Iterable[Ranking]:
        if len(queries) == 1:
            return [self.rank(queries[0])]
        if window_length == _NOT_COMMON or self._common_case is None:
            return self._ranking_graph.rank_many(queries)
        rankings = self._common_case.rank_many(queries)
        return [
            self._ranking_graph.rank_one(query)
            if ranking is None or self._hidden.has_any(ranking)
            else ranking
            for query, ranking in zip(queries, rankings, strict=True)
        ]


def _if_any(path: Path, content: bytes | None) -> GraphFile | None:
    return None if content is None else GraphFile(path, content)
