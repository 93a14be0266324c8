"""Item ids in, recommendations out: the student, and what stands in for it.

The student answers what it knows of the history. Popular items answer where there is nothing to
rank by, or where the student fails; then the answer is degraded.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from export.bundle import Bundle, BundleError, Item, Manifest
from service.catalog import Catalog
from service.errors import InvalidRequestError, StudentError
from service.student import Ranking, Student

logger = logging.getLogger(__name__)

Source = Literal["student", "popular"]


@dataclass(frozen=True, slots=True)
class Recommendations:
    """Items and scores, best first; `unknown_items` of the history were skipped."""

    ranking: Sequence[tuple[Item, float]]
    source: Source
    degraded: bool
    unknown_items: int


class Recommender:
    """One bundle, ready to answer."""

    def __init__(self, bundle: Bundle) -> None:
        """Opens the bundle's graph.

        Raises:
            BundleError: the graph cannot be opened.
        """
        self.catalog = Catalog(bundle.items)
        self._bundle = bundle
        self._student = Student(bundle)

    @property
    def manifest(self) -> Manifest:
        """What is served."""
        return self._bundle.manifest

    def warm_up(self, max_k: int) -> None:
        """Ranks once for the shortest and the longest history.

        Raises:
            BundleError: the graph does not keep the contract of `export.bundle`.
        """
        num_items = len(self.catalog)
        for length in (1, self.manifest.max_history_length):
            try:
                ranking = self._student.rank([1] * length, max_k, mask_seen=False)
            except StudentError as error:
                raise BundleError(f"{self._bundle.model_path}: {error}") from error
            if len({index for index, _ in ranking}) != min(max_k, num_items):
                raise BundleError(
                    f"{self._bundle.model_path}: {len(ranking)} items ranked for k = {max_k}, "
                    f"{num_items} in the catalog"
                )

    def recommend(
        self, history: Sequence[str], k: int, exclude: Iterable[str] = ()
    ) -> Recommendations:
        """The next `k` items: none of `exclude`, and none of `history` while others are left.

        Raises:
            InvalidRequestError: `exclude` leaves no item.
        """
        seen = self.catalog.known_indices(history)
        excluded = self.catalog.known_indices(exclude)
        ranking = self._rank(seen, excluded, k) if seen else []
        degraded = bool(seen) and not ranking
        source: Source = "student"
        if not ranking:
            source, ranking = "popular", self._popular(seen, excluded, k)
        if not ranking:
            raise InvalidRequestError("exclude", "leaves no item of the catalog")
        return Recommendations(
            ranking=[(self.catalog.item(index), score) for index, score in ranking],
            source=source,
            degraded=degraded,
            unknown_items=len(history) - len(seen),
        )

    def _rank(self, seen: Sequence[int], excluded: Sequence[int], k: int) -> Ranking:
        """The student's ranking; empty if it failed or `excluded` leaves nothing."""
        try:
            return self._student.rank(
                seen, k, excluded=excluded, mask_seen=True
            ) or self._student.rank(seen, k, excluded=excluded, mask_seen=False)
        except StudentError:
            logger.exception("the student failed, popular items answer")
            return []

    def _popular(self, seen: Sequence[int], excluded: Sequence[int], k: int) -> Ranking:
        indices = self.catalog.popular(k, without={*seen, *excluded})
        indices = indices or self.catalog.popular(k, without=set(excluded))
        return [(index, float(self.catalog.item(index).popularity)) for index in indices]
