"""Recommends items for a history of item ids: by the student, or by a fallback.

The order of sources, decided here and nowhere else:

1. `student`, where the history has an item that the catalog knows;
2. `similar` to the items of that history, where the student fails; the answer is degraded;
3. `popular`, where no item of the history is known;
4. `catalog` order, where no allowed item has ever been counted.

All sources recommend from the same items: those that the filters allow, without the excluded ones
and without the seen ones. Seen items come back only when no other item is left.
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
"""Which ranker made a list; `teacher` occurs on the teacher's own routes only."""


@dataclass(frozen=True, slots=True)
class Query:
    """A request for recommendations in item ids; `history` is oldest first."""

    history: Sequence[str]
    k: int
    exclude: Iterable[str] = ()
    allow: AttributeFilter = field(default_factory=dict)
    deny: AttributeFilter = field(default_factory=dict)
    mask_seen: bool = True


@dataclass(frozen=True, slots=True)
class Recommendations:
    """Items and scores, best first; `unknown_items` of the history were skipped."""

    ranking: Sequence[tuple[Item, float]]
    source: Source
    degraded: bool
    unknown_items: int

    @property
    def item_ids(self) -> list[str]:
        """The ids of the recommended items, best first."""
        return [item.item_id for item, _ in self.ranking]


class Recommender:
    """A bundle and the items added to it, loaded for ranking. Immutable."""

    def __init__(
        self,
        bundle: Bundle,
        catalog: Catalog,
        student: Student,
        vectors: ItemVectors,
        added: Sequence[AddedItem] = (),
    ) -> None:
        """`added` are the added items that `catalog`, `student` and `vectors` hold already."""
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
        """Whether the bundle lacks the item and its encoder reads embeddings of this size."""
        fits = len(added.vector) == self.student.embedding_size
        return fits and not self.catalog.is_in_bundle(added.item.item_id)

    def with_added(self, added: Sequence[AddedItem]) -> "Recommender":
        """Copies the recommender, with those of `added` that it can add, and no others.

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
        """The next `k` items, fewer only if fewer are allowed.

        Raises:
            InvalidRequestError: a filter names an attribute that no item has.
        """
        index_query = self._index_query(query)
        return self._recommendations(query, index_query, self._rank(index_query))

    def recommend_many(self, queries: Sequence[Query]) -> list[Recommendations]:
        """Recommendations for many queries; those of one `k` and `mask_seen` share inferences.

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
        """The `k` items whose vectors are nearest to that of a known item, with cosines."""
        indices = self.catalog.known_indices([item_id])
        others = self._candidates(IndexQuery(indices, k))
        return self._with_items(self.vectors.nearest(indices, k, others))

    def _vectors_of(self, added: Sequence[AddedItem]) -> Vectors:
        """`[added, hidden]`; only items that are new here are encoded."""
        known, new = self._row_of_added, [each for each in added if each not in self._row_of_added]
        vectors = self.student.added
        if new:
            encoded = self.student.encode(np.stack([each.vector for each in new]))
            vectors = np.concatenate([vectors, encoded])
        rows = known | {each: row for row, each in enumerate(new, start=len(known))}
        return vectors[[rows[each] for each in added]]

    def _index_query(self, query: Query) -> IndexQuery:
        return IndexQuery(
            history=self.catalog.known_indices(query.history),
            k=query.k,
            excluded=self.catalog.known_indices(query.exclude),
            allowed=self.catalog.filters.mask(query.allow, query.deny),
            mask_seen=query.mask_seen,
        )

    def _rank(self, query: IndexQuery) -> Ranking | None:
        """The student's ranking; None if no item of the history is known, or the student fails."""
        if not query.history:
            return None
        try:
            return self._or_seen_items(query, self.student.rank(query))
        except StudentError:
            logger.exception("the student failed, similar items are recommended instead")
            return None

    def _rank_many(self, queries: Sequence[IndexQuery]) -> list[Ranking | None]:
        groups = [(each.k, each.mask_seen) if each.history else None for each in queries]
        return answer_by_group(queries, groups, self._rank_alike)

    def _rank_alike(
        self, group: tuple[int, bool] | None, queries: Sequence[IndexQuery]
    ) -> Sequence[Ranking | None]:
        if group is None:
            return [None] * len(queries)  # no history, nothing to rank by
        return answer_together_or_singly(
            queries, self._rank_at_once, self._rank, failure=StudentError
        )

    def _rank_at_once(self, queries: Sequence[IndexQuery]) -> list[Ranking | None]:
        """The student's rankings of queries of one `k` and `mask_seen`; raises StudentError."""
        rankings = self.student.rank_many(queries)
        return list(map(self._or_seen_items, queries, rankings))

    def _or_seen_items(self, query: IndexQuery, ranking: Ranking) -> Ranking:
        """Returns `ranking`; if it is empty, ranks the seen items too. Raises StudentError."""
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
            unknown_items=len(query.history) - len(index_query.history),
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
        """The items that a fallback may recommend; the student's graphs have the same rule."""
        allowed = self.student.all_allowed if query.allowed is None else query.allowed
        mask = allowed.copy()
        mask[[0, *query.excluded]] = False
        unseen = mask.copy()
        unseen[list(query.history)] = False
        return unseen if query.mask_seen and unseen.any() else mask

    def _with_items(self, ranking: Ranking) -> Sequence[tuple[Item, float]]:
        item = self.catalog.item
        return [(item(index), score) for index, score in ranking]
