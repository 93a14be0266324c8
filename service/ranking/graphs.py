"""The two ONNX graphs that rank: the ranking graph and the common-case graph.

The ranking graph answers any query. The common-case graph is faster, but answers common queries
only. Both have `rank_one`, which reuses bound arrays, and `rank_many`, which ranks a batch in one
inference. `service.ranking.student` chooses the graph for a query.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from export.contract.tensors import MAX_COMMON_CASE_K, TENSORS
from service.ranking.bound_session import BoundSessions
from service.ranking.onnx_session import Feeds, run_session
from service.ranking.types import HiddenItems, IndexQuery, Mask, Ranking, Vectors

_OUTPUTS = [TENSORS.item_indices, TENSORS.scores]
_PADDING = 0
_NONE_EXCLUDED = np.zeros((1, 1), dtype=np.int64)
_FLAGS = {flag: np.array(flag) for flag in (False, True)}


class CommonCaseGraph:
    """Ranks items for queries without filters, exclusions, added items or padding. Thread-safe.

    `export.contract.tensors.COMMON_CASE_TENSORS` defines these queries. If the graph cannot prove
    that it found the best items for a query, the ranking is None. The ranking graph must then rank
    the query.
    """

    def __init__(self, session: ort.InferenceSession, num_items: int) -> None:
        self._session = session
        self._num_items = num_items
        self._bound_sessions = BoundSessions(session)

    def accepts(self, query: IndexQuery) -> bool:
        """Returns whether the graph can rank `query` in a catalog without added items.

        The caller must check that the catalog has no added items.
        """
        return (
            query.allowed is None
            and query.mask_seen
            and len(query.history) > 0
            and not query.excluded
            and not query.unread
            and query.k <= MAX_COMMON_CASE_K
            and _PADDING not in query.history
        )

    def rank_one(self, query: IndexQuery) -> Ranking | None:
        """Ranks the best `k` items for one query, for which `accepts` must be true.

        Returns None if the graph cannot prove that these are the best items.

        Raises:
            StudentError: onnxruntime failed.
        """
        k = min(query.k, self._num_items)
        output = self._bound_sessions.run(query.history, k, {TENSORS.k: _as_tensor(k)})
        return _if_full(_ranking(*output), k)

    def rank_many(self, queries: Sequence[IndexQuery]) -> list[Ranking | None]:
        """Ranks several queries in one inference; `accepts` must be true for all of them.

        A ranking is None if the graph cannot prove that it has the best items. All queries must
        have the same `k` and the same window length.

        Raises:
            StudentError: onnxruntime failed.
        """
        k = min(queries[0].k, self._num_items)
        histories = _left_padded([each.history for each in queries])
        feeds: Feeds = {TENSORS.history: histories, TENSORS.k: _as_tensor(k)}
        outputs = run_session(self._session, _OUTPUTS, feeds)
        return [_if_full(_ranking(*output), k) for output in zip(*outputs, strict=True)]


class RankingGraph:
    """Ranks the items of the bundle and the added items for any query. Thread-safe."""

    def __init__(
        self,
        session: ort.InferenceSession,
        num_items: int,
        added: Vectors | None = None,
        hidden: HiddenItems | None = None,
    ) -> None:
        """Prepares the inputs that all queries share.

        Args:
            session: the open graph.
            num_items: number of items of the bundle.
            added: item vectors of the added items, `[added, hidden]`; None: there are none.
            hidden: the items that no query ranks, unless its mask allows them; None: none are.
        """
        shapes = {each.name: each.shape for each in session.get_inputs()}
        none_added = np.zeros((0, shapes[TENSORS.added][1]), dtype=np.float32)
        self.added = none_added if added is None else added
        self._session = session
        self._num_items = num_items
        self._all_allowed = np.ones((1, 1 + num_items + len(self.added)), dtype=np.bool_)
        if hidden:
            self._all_allowed &= ~hidden.mask
        self._bound_sessions = BoundSessions(session)

    def with_added(self, added: Vectors, hidden: HiddenItems | None = None) -> "RankingGraph":
        """Returns a copy with other added items and other hidden items.

        Args:
            added: vectors of the added items, `[added, hidden size]`, in place of the former ones.
            hidden: the items to hide, in place of the former ones; None: there are none.
        """
        return RankingGraph(self._session, self._num_items, added, hidden)

    @property
    def all_allowed(self) -> Mask:
        """Mask that allows all items except hidden ones, `[items + added + 1]` by item index."""
        mask: Mask = self._all_allowed[0]
        return mask

    def table(self) -> Vectors:
        """Returns the item vectors of the bundle's items, `[items + 1, hidden]` by item index.

        Raises:
            StudentError: onnxruntime failed.
        """
        query = IndexQuery([_PADDING], 1)
        feeds = self._other_inputs(query) | {TENSORS.history: _left_padded([query.history])}
        table: Vectors = run_session(self._session, [TENSORS.table], feeds)[0]
        return table

    def rank_one(self, query: IndexQuery) -> Ranking:
        """Returns the best `k` items, or fewer if the query allows fewer.

        Raises:
            StudentError: onnxruntime failed.
        """
        # Without a bound session, because it would keep the mask in memory after the request, and
        # because an empty history needs padding.
        if query.allowed is not None or not query.history:
            return self.rank_many([query])[0]
        num_answered = min(query.k, self._num_items + len(self.added))
        inputs = self._other_inputs(query)
        return _ranking(*self._bound_sessions.run(query.history, num_answered, inputs))

    def rank_arrays(self, query: IndexQuery) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Returns the item indices and the scores of the best `k` items, as arrays, best first.

        Both arrays are shorter than `k` if the query allows fewer items.

        Raises:
            StudentError: onnxruntime failed.
        """
        feeds = self._other_inputs(query) | {TENSORS.history: _left_padded([query.history])}
        (indices,), (scores,) = run_session(self._session, _OUTPUTS, feeds)
        ranked = np.isfinite(scores)
        return indices[ranked], scores[ranked]

    def rank_many(self, queries: Sequence[IndexQuery]) -> list[Ranking]:
        """Ranks several queries in one inference; returns their rankings in the same order.

        All queries must have the same `k` and `mask_seen`.

        Raises:
            StudentError: onnxruntime failed.
        """
        first = queries[0]
        feeds = self._other_inputs(first) | {
            TENSORS.history: _left_padded([each.history for each in queries]),
            TENSORS.excluded: _left_padded([each.closed for each in queries]),
        }
        if any(each.allowed is not first.allowed for each in queries):
            masks = [self.all_allowed if each.allowed is None else each.allowed for each in queries]
            feeds[TENSORS.allowed] = np.stack(masks)
        return list(map(_ranking, *run_session(self._session, _OUTPUTS, feeds)))

    def _other_inputs(self, query: IndexQuery) -> dict[str, NDArray[np.generic]]:
        """Returns all inputs of the graph for one query except the history, by name."""
        allowed, excluded = query.allowed, query.closed
        return {
            TENSORS.excluded: np.array([excluded], dtype=np.int64) if excluded else _NONE_EXCLUDED,
            TENSORS.allowed: self._all_allowed if allowed is None else allowed[None],
            TENSORS.mask_seen: _FLAGS[query.mask_seen],
            TENSORS.k: _as_tensor(query.k),
            TENSORS.added: self.added,
        }


def _ranking(item_indices: NDArray[np.generic], scores: NDArray[np.generic]) -> Ranking:
    """Pairs item indices with their scores; both are ordered best first.

    Drops items with the score -inf: the graph fills a list with them if fewer than `k` items are
    allowed.
    """
    best_first = scores.tolist()
    pairs = list(zip(item_indices.tolist(), best_first, strict=True))
    if math.isfinite(sum(best_first)):
        return pairs
    return [(index, score) for index, score in pairs if math.isfinite(score)]


def _if_full(ranking: Ranking, k: int) -> Ranking | None:
    return ranking if len(ranking) == k else None


@lru_cache
def _as_tensor(k: int) -> NDArray[np.int64]:
    """Returns an array that holds `k`, of shape `[1]`.

    The array is cached: a bound session binds an input again only if it is a different object.
    """
    return np.array([k], dtype=np.int64)


def _left_padded(rows: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """Returns `rows` as one array `[rows, longest row]`, padded with 0 on the left.

    The array has at least one column, even if all rows are empty.
    """
    width = max(1, *map(len, rows))
    padded = np.zeros((len(rows), width), dtype=np.int64)
    for line, row in zip(padded, rows, strict=True):
        line[width - len(row) :] = row
    return padded
