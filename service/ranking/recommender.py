"""Item ids in, recommendations out: the student, and what stands in for it.

The order of sources, here and nowhere else:

1. `student`, where the history has an item that it knows;
2. `similar` to the items of that history, where the student fails; the answer is degraded;
3. `popular`, where nothing of the history is known;
4. `catalog` order, where nothing that may be answered has ever been counted.

Whatever answers keeps to the same items: those that the filters allow, less the excluded, less
the seen ones, which come back only when nothing else is left.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from export.contract.bundle import Bundle, Item, Manifest
from service.errors import StudentError
from service.ranking.catalog import Catalog
from service.ranking.filters import AttributeFilter
from service.ranking.item_neighbours import ItemVectors
from service.ranking.student import Student
from service.ranking.types import IndexQuery, Mask, Ranking, Vectors
from service.stores.items.protocol import AddedItem

logger = logging.getLogger(__name__)

Source = Literal["student", "similar", "popular", "catalog", "teacher"]
"""Who answered; the teacher does so on its own routes only."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is to be recommended, in item ids; `history` is oldest first."""

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
        """The items by their ids."""
        return [item.item_id for item, _ in self.ranking]


class Recommender:
    """One bundle and the items added to it, ready to answer; never changes."""

    def __init__(
        self,
        bundle: Bundle,
        catalog: Catalog,
        student: Student,
        vectors: ItemVectors,
        added: Sequence[AddedItem] = (),
    ) -> None:
        """`added` are the items beside the bundle's that the other parts know already."""
        self.bundle = bundle
        self.catalog = catalog
        self.student = student
        self.vectors = vectors
        self._row_of_added = {each: row for row, each in enumerate(added)}

    @property
    def manifest(self) -> Manifest:
        """What is served."""
        return self.bundle.manifest

    def can_learn(self, added: AddedItem) -> bool:
        """Whether the item is new to the bundle and its embedding one that it can read."""
        fits = len(added.vector) == self.student.embedding_size
        return fits and not self.catalog.is_of_bundle(added.item.item_id)

    def with_added(self, added: Sequence[AddedItem]) -> "Recommender":
        """The same bundle with those of `added` that it can learn, and no others, beside its own.

        Raises:
            StudentError: onnxruntime failed.
        """
        learnt = [each for each in added if self.can_learn(each)]
        if learnt == list(self._row_of_added):
            return self
        vectors = self._vectors_of(learnt)
        return Recommender(
            self.bundle,
            self.catalog.with_added([each.item for each in learnt]),
            self.student.with_added(vectors),
            self.vectors.with_added(vectors),
            learnt,
        )

    def recommend(self, wanted: Query) -> Recommendations:
        """The next `k` items, fewer only if fewer may be answered.

        Raises:
            InvalidRequestError: a filter names an attribute that no item has.
        """
        question = self._question(wanted)
        return self._answer(wanted, question, self._rank(question))

    def recommend_all(self, batch: Sequence[Query]) -> list[Recommendations]:
        """The same for many; those of one `k` and `mask_seen` are ranked together.

        Raises:
            InvalidRequestError: a filter names an attribute that no item has.
        """
        questions = list(map(self._question, batch))
        rankings = self._rank_all(questions)
        return [self._answer(*each) for each in zip(batch, questions, rankings, strict=True)]

    def similar(self, item_id: str, k: int) -> Sequence[tuple[Item, float]]:
        """The `k` other items whose vectors are nearest to that of a known item, with cosines."""
        indices = self.catalog.known_indices([item_id])
        others = self._answerable(IndexQuery(indices, k))
        return self._named(self.vectors.nearest(indices, k, others))

    def _vectors_of(self, added: Sequence[AddedItem]) -> Vectors:
        """`[added, hidden]`; the vectors that are known already are not made again."""
        known, new = self._row_of_added, [each for each in added if each not in self._row_of_added]
        vectors = self.student.added
        if new:
            made = self.student.encode(np.stack([each.vector for each in new]))
            vectors = np.concatenate([vectors, made])
        rows = known | {each: row for row, each in enumerate(new, start=len(known))}
        return vectors[[rows[each] for each in added]]

    def _question(self, wanted: Query) -> IndexQuery:
        return IndexQuery(
            history=self.catalog.known_indices(wanted.history),
            k=wanted.k,
            excluded=self.catalog.known_indices(wanted.exclude),
            allowed=self.catalog.filters.mask(wanted.allow, wanted.deny),
            mask_seen=wanted.mask_seen,
        )

    def _rank(self, question: IndexQuery) -> Ranking | None:
        """The student's ranking; None if it has nothing to go by or fails."""
        if not question.history:
            return None
        try:
            ranking = self.student.rank(question)
            if not ranking and question.mask_seen:
                ranking = self.student.rank(replace(question, mask_seen=False))
        except StudentError:
            logger.exception("the student failed, similar items answer")
            return None
        return ranking

    def _rank_all(self, questions: Sequence[IndexQuery]) -> list[Ranking | None]:
        runs: dict[tuple[int, bool], list[int]] = defaultdict(list)
        for place, question in enumerate(questions):
            if question.history:
                runs[question.k, question.mask_seen].append(place)
        rankings: list[Ranking | None] = [None] * len(questions)
        for places in runs.values():
            try:
                answers = self.student.rank_many([questions[place] for place in places])
            except StudentError:
                logger.exception("the student failed in a batch, each request is asked alone")
                answers = [[] for _ in places]
            for place, ranking in zip(places, answers, strict=True):
                rankings[place] = ranking or self._rank(questions[place])
        return rankings

    def _answer(
        self, wanted: Query, question: IndexQuery, ranking: Ranking | None
    ) -> Recommendations:
        source: Source = "student"
        if ranking is None:
            source, ranking = self._stand_in(question)
        return Recommendations(
            ranking=self._named(ranking),
            source=source,
            degraded=source == "similar",
            unknown_items=len(wanted.history) - len(question.history),
        )

    def _stand_in(self, question: IndexQuery) -> tuple[Source, Ranking]:
        answerable = self._answerable(question)
        if question.history:
            return "similar", self.vectors.nearest(question.history, question.k, answerable)
        indices = self.catalog.popular(question.k, answerable)
        counts = [self.catalog.item(index).popularity for index in indices]
        source: Source = "popular" if any(counts) else "catalog"
        return source, list(zip(indices, map(float, counts), strict=True))

    def _answerable(self, question: IndexQuery) -> Mask:
        allowed = self.student.all_allowed if question.allowed is None else question.allowed
        mask = allowed.copy()
        mask[[0, *question.excluded]] = False
        unseen = mask.copy()
        unseen[list(question.history)] = False
        return unseen if question.mask_seen and unseen.any() else mask

    def _named(self, ranking: Ranking) -> Sequence[tuple[Item, float]]:
        item = self.catalog.item
        return [(item(index), score) for index, score in ranking]
