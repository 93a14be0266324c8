"""Recommends items for a history of item ids: by the student, or by a fallback.

This module alone chooses the source of a recommendation list:

1. `student`, if the student reads at least one item of the history. It reads all items of the
   catalog that the bundle does not mark as unread.
2. `similar`, if the student fails: the items nearest to the history. The answer is degraded.
3. `popular`, if the student reads no item of the history: the items with the most interactions in
   the training data.
4. `catalog`, if the student reads no item of the history, and no allowed item has an interaction in
   the training data: the first allowed items of the catalog.

All sources recommend items that the filters allow and that are neither excluded nor seen. Seen
items are recommended only if no other item is left.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from export.contract.bundle import Bundle, Item, Manifest
from service.errors import StudentError
from service.ranking.batching import answer_by_group, answer_together_or_singly
from service.ranking.catalog import NO_EDITS, Catalog
from service.ranking.filters import AttributeFilter
from service.ranking.item_neighbours import ItemVectors
from service.ranking.rules.scorers import by_popularity, by_similarity, by_student
from service.ranking.rules.selection import Eligible, Selector
from service.ranking.rules.types import Rules, Scorer, Selection, Shortage
from service.ranking.student import Student
from service.ranking.types import IndexQuery, Mask, Ranking, Source
from service.stores.items.edits import ItemEdit
from service.stores.items.protocol import AddedItem

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Query:
    """A request for recommendations, in item ids.

    Attributes:
        history: item ids, oldest first; ids that the catalog does not have are skipped.
        k: number of items to recommend.
        exclude: ids of items that must not be recommended.
        allow: values by attribute name; a recommended item has at least one of them for each name.
        deny: values by attribute name; a recommended item has none of them.
        mask_seen: whether items of `history` are recommended only if no other item is left.
        rules: rules that choose among the items that are left; None: the best are recommended.
    """

    history: Sequence[str]
    k: int
    exclude: Iterable[str] = ()
    allow: AttributeFilter = field(default_factory=dict)
    deny: AttributeFilter = field(default_factory=dict)
    mask_seen: bool = True
    rules: Rules | None = None


@dataclass(frozen=True, slots=True)
class Recommendations:
    """The recommendation list that answers a query.

    Attributes:
        ranking: items and scores, best first.
        source: the ranker that made the list.
        degraded: whether the student failed, so that a fallback made the list.
        unknown_items: number of ids in the history that the catalog does not have.
        shortage: why there are fewer than `k` items; None: there are `k`.
        left_out_pins: ids of pinned items that are not recommended.
    """

    ranking: Sequence[tuple[Item, float]]
    source: Source
    degraded: bool
    unknown_items: int
    shortage: Shortage | None = None
    left_out_pins: Sequence[str] = ()

    @property
    def item_ids(self) -> list[str]:
        """Item ids of the recommended items, best first."""
        return [item.item_id for item, _ in self.ranking]


class Recommender:
    """Recommends items of a bundle and added items. Immutable."""

    def __init__(
        self,
        bundle: Bundle,
        catalog: Catalog,
        student: Student,
        vectors: ItemVectors,
    ) -> None:
        """Joins the parts of a recommender, which must all have the same items.

        Args:
            bundle: the bundle that the other parts were made from.
            catalog: the items.
            student: the student that ranks.
            vectors: the item vectors.
        """
        self.bundle = bundle
        self.catalog = catalog
        self.student = student
        self.vectors = vectors

    @property
    def manifest(self) -> Manifest:
        """Manifest of the bundle."""
        return self.bundle.manifest

    def can_add(self, added: AddedItem) -> bool:
        """Returns whether an item can be added at run time.

        The bundle must lack the item, and its item encoder must take embeddings of the item's size.
        """
        fits = len(added.vector) == self.student.embedding_size
        return fits and not self.catalog.is_in_bundle(added.item.item_id)

    def with_changes(
        self, added: Mapping[str, AddedItem | None], edits: Mapping[str, ItemEdit | None] = NO_EDITS
    ) -> "Recommender":
        """Returns a recommender with changes of added items and of edits.

        Leaves out items that `can_add` refuses.

        Args:
            added: the new and the replaced added items by item id; None for those that are removed.
            edits: the new and the replaced edits by item id; None for those that are removed.

        Raises:
            StudentError: onnxruntime failed.
        """
        fitting = {
            item_id: each if each and self.can_add(each) else None
            for item_id, each in added.items()
        }
        items = {item_id: each.item if each else None for item_id, each in fitting.items()}
        catalog = self.catalog.with_changes(items, edits)
        if catalog is self.catalog:
            return self
        student = self.student.with_changes(self.catalog, catalog, fitting)
        vectors = self.vectors.with_added(student.added)
        return Recommender(self.bundle, catalog, student, vectors)

    def recommend(self, query: Query) -> Recommendations:
        """Recommends `k` items for `query`, or fewer if the query allows fewer.

        Raises:
            InvalidRequestError: a filter names an attribute that no item has.
        """
        if query.rules is not None:
            return self._recommend_by_rules(query)
        index_query = self._index_query(query)
        return self._recommendations(query, index_query, self._rank(index_query))

    def recommend_many(self, queries: Sequence[Query]) -> list[Recommendations]:
        """Answers several queries in batches; returns the answers in the order of the queries.

        Queries with the same `k` and `mask_seen` share a batch. Each query with rules is ranked
        alone.

        Raises:
            InvalidRequestError: a filter names an attribute that no item has.
        """
        have_rules = [query.rules is not None for query in queries]
        return answer_by_group(queries, have_rules, self._recommend_alike)

    def _recommend_alike(
        self, have_rules: bool, queries: Sequence[Query]
    ) -> Sequence[Recommendations]:
        if have_rules:
            return list(map(self.recommend, queries))
        index_queries = list(map(self._index_query, queries))
        rankings = self._rank_many(index_queries)
        return [
            self._recommendations(*each)
            for each in zip(queries, index_queries, rankings, strict=True)
        ]

    def similar_by_rules(self, query: Query) -> Selection:
        """Selects the `k` items most similar, by cosine, to the items of the query's history.

        Filters, exclusions and rules are applied. Items of the history and items that the student
        does not read are left out. The list is empty if the history has an item that the student
        does not read.

        Raises:
            InvalidRequestError: a filter names an attribute that no item has.
        """
        index_query = self._index_query(query)
        others = self._candidates(replace(index_query, mask_seen=False))
        others[[*index_query.history, *self.catalog.unread_indices]] = False
        if index_query.unread:
            others[:] = False
        scorer = by_similarity(self.vectors, index_query.history)
        return self._selector(query).select(Eligible(others, others), scorer)

    def popular_by_rules(self, query: Query, scorer: Scorer | None = None) -> Selection:
        """Selects the `k` best items by `scorer`, or by popularity, as `similar_by_rules` does.

        The history of the query is not used.
        """
        allowed = self._candidates(self._index_query(query))
        scorer = scorer or by_popularity(self.catalog)
        return self._selector(query).select(Eligible(allowed, allowed), scorer)

    def _index_query(self, query: Query) -> IndexQuery:
        history, unread = self.catalog.divided(self.catalog.known_indices(query.history))
        allowed = self.catalog.filters.mask(query.allow, query.deny)
        if query.rules is not None and query.rules.candidates is not None:
            candidates = self.catalog.mask_of(query.rules.candidates)
            allowed = candidates if allowed is None else allowed & candidates
        return IndexQuery(
            history=history,
            k=query.k,
            excluded=self.catalog.known_indices(query.exclude),
            allowed=allowed,
            mask_seen=query.mask_seen,
            unread=unread,
        )

    def _rank(self, query: IndexQuery) -> Ranking | None:
        """Ranks by the student; None if the student fails or the query's `history` is empty."""
        if not query.history:
            return None
        try:
            query = _possible(query)
            return self._or_seen_items(query, self.student.rank(query))
        except StudentError:
            logger.exception("the student failed; similar items are recommended instead")
            return None

    def _rank_many(self, queries: Sequence[IndexQuery]) -> list[Ranking | None]:
        queries = list(map(_possible, queries))
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
        """Ranks several queries by `Student.rank_many`; all must have the same `k` and `mask_seen`.

        If a query allows no unseen item, ranks it again with seen items allowed.

        Raises:
            StudentError: onnxruntime failed.
        """
        rankings = self.student.rank_many(queries)
        return list(map(self._or_seen_items, queries, rankings))

    def _or_seen_items(self, query: IndexQuery, ranking: Ranking) -> Ranking:
        """Returns `ranking`; if it is empty, ranks the query again with seen items allowed.

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
        shortage: Shortage | None = None if len(ranking) >= query.k else "no_more_items"
        return self._answer(query, index_query, Selection(ranking, shortage), source)

    def _answer(
        self, query: Query, index_query: IndexQuery, selection: Selection, source: Source
    ) -> Recommendations:
        return Recommendations(
            ranking=self.with_items(selection.ranking),
            source=source,
            degraded=source == "similar",
            unknown_items=len(query.history) - len(index_query.history) - len(index_query.unread),
            shortage=selection.shortage,
            left_out_pins=selection.left_out_pins,
        )

    def _recommend_by_rules(self, query: Query) -> Recommendations:
        index_query = self._index_query(query)
        selector = self._selector(query)
        eligible = Eligible(
            pinnable=self._candidates(replace(index_query, mask_seen=False)),
            others=self._candidates(index_query),
        )
        source: Source = "student"
        if not index_query.history:
            selection = selector.select(eligible, by_popularity(self.catalog))
            source = self._source_of(index for index, _ in selection.ranking)
            return self._answer(query, index_query, selection, source)
        try:
            selection = selector.select(eligible, by_student(self.student, index_query.history))
        except StudentError:
            logger.exception("the student failed; similar items are recommended instead")
            source, scorer = "similar", by_similarity(self.vectors, index_query.history)
            selection = selector.select(eligible, scorer)
        return self._answer(query, index_query, selection, source)

    def _selector(self, query: Query) -> Selector:
        return Selector(self.catalog, self.vectors, query.rules or Rules(), query.k)

    def _source_of(self, item_indices: Iterable[int]) -> Source:
        """Returns `popular` if one of the items has an interaction in training, else `catalog`."""
        has_interactions = any(self.catalog.item(index).popularity for index in item_indices)
        return "popular" if has_interactions else "catalog"

    def _fallback(self, query: IndexQuery) -> tuple[Source, Ranking]:
        candidates = self._candidates(query)
        if query.history:
            return "similar", self.vectors.nearest(query.history, query.k, candidates)
        indices = self.catalog.popular(query.k, candidates)
        counts = [float(self.catalog.item(index).popularity) for index in indices]
        return self._source_of(indices), list(zip(indices, counts, strict=True))

    def _candidates(self, query: IndexQuery) -> Mask:
        """Returns the mask `[catalog rows]` of the items that may be recommended for a query.

        Seen items are among them if `mask_seen` is false or if no other item is left.
        """
        allowed = self.student.all_allowed if query.allowed is None else query.allowed
        mask = allowed.copy()
        mask[[0, *query.excluded]] = False
        unseen = mask.copy()
        unseen[[*query.history, *query.unread]] = False
        return unseen if query.mask_seen and unseen.any() else mask

    def with_items(self, ranking: Ranking) -> Sequence[tuple[Item, float]]:
        """Returns the ranking with items instead of item indices."""
        item = self.catalog.item
        return [(item(index), score) for index, score in ranking]


def _possible(query: IndexQuery) -> IndexQuery:
    """Returns `query`, with seen items allowed if its filters allow no other; this saves a run."""
    return replace(query, mask_seen=False) if query.leaves_no_unseen() else query
