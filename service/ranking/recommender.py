"""Recommends items for a history of item ids: by the student, or by a fallback.

The source of a recommendation list is chosen in this module only:

1. `student`, if it reads an item of the history: the catalog has the item, and the bundle does not
   mark it as unread;
2. `similar` items to those of the history, if the student fails; the answer is then degraded;
3. `popular` items, if the student reads no item of the history;
4. `catalog` order, if no allowed item has an interaction in the training data.

All sources recommend from the same items: those that the filters allow, without excluded items and
without seen items. Seen items are recommended only if no other item is left.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from export.contract.bundle import Bundle, Item, Manifest
from service.errors import StudentError
from service.ranking.batching import answer_by_group, answer_together_or_singly
from service.ranking.catalog import Catalog
from service.ranking.filters import AttributeFilter
from service.ranking.item_neighbours import ItemVectors
from service.ranking.student import Student
from service.ranking.types import IndexQuery, Mask, Ranking, Vectors
from service.stores.items.protocol import AddedItem

logger = logging.getLogger(__name__)

Source = Literal["student", "similar", "popular", "catalog", "teacher"]
"""The ranker that made a list; `teacher` occurs in answers of the teacher's routes only."""


@dataclass(frozen=True, slots=True)
class Query:
    """A request for recommendations, in item ids.

    Attributes:
        history: item ids, oldest first; ids that the catalog does not have are skipped.
        k: number of items to recommend.
        exclude: ids of items that must not be recommended.
        allow: a recommended item has at least one value of each attribute here.
        deny: a recommended item has none of these values.
        mask_seen: whether items of `history` are left out, unless no other item is left.
    """

    history: Sequence[str]
    k: int
    exclude: Iterable[str] = ()
    allow: AttributeFilter = field(default_factory=dict)
    deny: AttributeFilter = field(default_factory=dict)
    mask_seen: bool = True


@dataclass(frozen=True, slots=True)
class Recommendations:
    """The answer to a query.

    Attributes:
        ranking: items and scores, best first.
        source: the ranker that made the list.
        degraded: whether the student failed, so that a fallback ranked.
        unknown_items: number of ids in the history that the catalog does not have.
    """

    ranking: Sequence[tuple[Item, float]]
    source: Source
    degraded: bool
    unknown_items: int

    @property
    def item_ids(self) -> list[str]:
        """The ids of the recommended items, best first."""
        return [item.item_id for item, _ in self.ranking]


class Recommender:
    """Recommends the items of a bundle and the added items. Immutable."""

    def __init__(
        self,
        bundle: Bundle,
        catalog: Catalog,
        student: Student,
        vectors: ItemVectors,
        added: Sequence[AddedItem] = (),
    ) -> None:
        """`added`: the added items that `catalog`, `student` and `vectors` already contain."""
        self.bundle = bundle
        self.catalog = catalog
        self.student = student
        self.vectors = vectors
        self._row_of_added = {each: row for row, each in enumerate(added)}

    @property
    def manifest(self) -> Manifest:
        """The manifest of the bundle."""
        return self.bundle.manifest

    def can_add(self, added: AddedItem) -> bool:
        """Returns whether the item can be added.

        The bundle must not have the item, and its encoder must read embeddings of the item's size.
        """
        fits = len(added.vector) == self.student.embedding_size
        return fits and not self.catalog.is_in_bundle(added.item.item_id)

    def with_added(self, added: Sequence[AddedItem]) -> "Recommender":
        """Returns a recommender whose added items are those of `added` that `can_add` allows.

        Raises:
            StudentError: onnxruntime failed.
        """
        new_added = [each for each in added if self.can_add(each)]
        if new_added == list(self._row_of_added):
            return self
        vectors = self._vectors_of(new_added)
        return Recommender(
            self.bundle,
            self.catalog.with_added([each.item for each in new_added]),
            self.student.with_added(vectors),
            self.vectors.with_added(vectors),
            new_added,
        )

    def recommend(self, query: Query) -> Recommendations:
        """Recommends the next `k` items, or fewer if fewer are allowed.

        Raises:
            InvalidRequestError: a filter names an attribute that no item has.
        """
        index_query = self._index_query(query)
        return self._recommendations(query, index_query, self._rank(index_query))

    def recommend_many(self, queries: Sequence[Query]) -> list[Recommendations]:
        """Recommends for several queries; those with the same `k` and `mask_seen` are batched.

        Raises:
            InvalidRequestError: a filter names an attribute that no item has.
        """
        index_queries = list(map(self._index_query, queries))
        rankings = self._rank_many(index_queries)
        return [
            self._recommendations(*each)
            for each in zip(queries, index_queries, rankings, strict=True)
        ]

    def similar(self, item_id: str, k: int) -> Sequence[tuple[Item, float]]:
        """Returns the `k` most similar items to an item of the catalog, with their cosines.

        An item that the student does not read is similar to no other, as its vector means nothing.
        """
        indices, unread = self.catalog.divided(self.catalog.known_indices([item_id]))
        if unread:
            return []
        others = self._candidates(IndexQuery(indices, k))
        others[self.catalog.unread_indices] = False
        return self._with_items(self.vectors.nearest(indices, k, others))

    def _vectors_of(self, added: Sequence[AddedItem]) -> Vectors:
        """Returns the vectors of `added`, `[added, hidden]`; encodes only those not encoded yet."""
        known, new = self._row_of_added, [each for each in added if each not in self._row_of_added]
        vectors = self.student.added
        if new:
            encoded = self.student.encode(np.stack([each.vector for each in new]))
            vectors = np.concatenate([vectors, encoded])
        rows = known | {each: row for row, each in enumerate(new, start=len(known))}
        return vectors[[rows[each] for each in added]]

    def _index_query(self, query: Query) -> IndexQuery:
        history, unread = self.catalog.divided(self.catalog.known_indices(query.history))
        return IndexQuery(
            history=history,
            k=query.k,
            excluded=self.catalog.known_indices(query.exclude),
            allowed=self.catalog.filters.mask(query.allow, query.deny),
            mask_seen=query.mask_seen,
            unread=unread,
        )

    def _rank(self, query: IndexQuery) -> Ranking | None:
        """Ranks by the student; None: it reads no item of the history, or it failed."""
        if not query.history:
            return None
        try:
            return self._or_seen_items(query, self.student.rank(query))
        except StudentError:
            logger.exception("the student failed; similar items are recommended instead")
            return None

    def _rank_many(self, queries: Sequence[IndexQuery]) -> list[Ranking | None]:
        groups = [(each.k, each.mask_seen) if each.history else None for each in queries]
        return answer_by_group(queries, groups, self._rank_alike)

    def _rank_alike(
        self, group: tuple[int, bool] | None, queries: Sequence[IndexQuery]
    ) -> Sequence[Ranking | None]:
        if group is None:
            return [None] * len(queries)  # the student cannot rank without a history
        return answer_together_or_singly(
            queries, self._rank_at_once, self._rank, failure=StudentError
        )

    def _rank_at_once(self, queries: Sequence[IndexQuery]) -> list[Ranking | None]:
        """Ranks queries that all have the same `k` and `mask_seen`, as `Student.rank_many` does.

        A query whose unseen items are all disallowed is ranked again with its seen items.

        Raises:
            StudentError: onnxruntime failed.
        """
        rankings = self.student.rank_many(queries)
        return list(map(self._or_seen_items, queries, rankings))

    def _or_seen_items(self, query: IndexQuery, ranking: Ranking) -> Ranking:
        """Returns `ranking`, or if it is empty, a ranking that includes seen items.

        Raises:
            StudentError: onnxruntime failed.
        """
        if ranking or not query.mask_seen:
            return ranking
        return self.student.rank(replace(query, mask_seen=False))

    def _recommendations(
        self, query: Query, index_query: IndexQuery, ranking: Ranking | None
    ) -> Recommendations:
        source: Source = "student"
        if ranking is None:
            source, ranking = self._fallback(index_query)
        return Recommendations(
            ranking=self._with_items(ranking),
            source=source,
            degraded=source == "similar",
            unknown_items=len(query.history) - len(index_query.history) - len(index_query.unread),
        )

    def _fallback(self, query: IndexQuery) -> tuple[Source, Ranking]:
        candidates = self._candidates(query)
        if query.history:
            return "similar", self.vectors.nearest(query.history, query.k, candidates)
        indices = self.catalog.popular(query.k, candidates)
        counts = [self.catalog.item(index).popularity for index in indices]
        source: Source = "popular" if any(counts) else "catalog"
        return source, list(zip(indices, map(float, counts), strict=True))

    def _candidates(self, query: IndexQuery) -> Mask:
        """Returns the mask of the items that a fallback may recommend, by the graphs' rules."""
        allowed = self.student.all_allowed if query.allowed is None else query.allowed
        mask = allowed.copy()
        mask[[0, *query.excluded]] = False
        unseen = mask.copy()
        unseen[[*query.history, *query.unread]] = False
        return unseen if query.mask_seen and unseen.any() else mask

    def _with_items(self, ranking: Ranking) -> Sequence[tuple[Item, float]]:
        item = self.catalog.item
        return [(item(index), score) for index, score in ranking]
