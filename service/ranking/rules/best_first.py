"""Finds the items with the highest boosted scores, mostly without scoring the whole catalog."""

import numpy as np

from service.ranking.rules.boosts import Boosts
from service.ranking.rules.types import Scored, Scorer
from service.ranking.types import Mask

_GROWTH = 4
_NONE: Scored = (np.zeros(0, dtype=np.int64), np.zeros(0))


class BestFirst:
    """Ranks allowed items by boosted score, that is, by score plus boosts.

    The scorer ranks without boosts. An item that the scorer has not returned cannot score more than
    a bound: the lowest returned score plus the largest boost of such an item. So the returned items
    that reach the bound are the best ones. If too few reach it, the scorer is asked for more items.
    """

    def __init__(
        self, scorer: Scorer, allowed: Mask, boosts: Boosts | None, min_score: float | None
    ) -> None:
        """Prepares the ranking; calls no scorer.

        Args:
            scorer: ranks items without boosts.
            allowed: mask `[catalog rows]` of the items to rank.
            boosts: `[catalog rows]`, added to the scores; None: nothing is added.
            min_score: items with a lower boosted score are left out; None: no minimum.
        """
        self._scorer = scorer
        self._allowed = allowed
        self._boosts = boosts
        self._min_score = -np.inf if min_score is None else min_score
        self.num_allowed = int(np.count_nonzero(allowed))

    def without(self, items: Mask) -> "BestFirst":
        """Returns a copy that does not rank the items of the mask `items`, `[catalog rows]`."""
        return BestFirst(self._scorer, self._allowed & ~items, self._boosts, self._min_score)

    def at_least(self, number: int) -> tuple[Scored, bool]:
        """Returns the best items: at least `number` of them, or all if fewer qualify.

        An item qualifies if it is allowed and scores at least `min_score`. Also returns whether the
        result is known to have all items that qualify.
        """
        if not self.num_allowed:
            return _NONE, True
        width = max(number, 1)
        while True:
            found = self._scorer(self._allowed, width)
            is_all = len(found[0]) < width or width >= self.num_allowed
            best, num_proven = self._ordered(*found, is_all=is_all)
            if is_all or num_proven >= number:
                return self._above_minimum(best, num_proven, is_all=is_all)
            width *= _GROWTH

    def scores_of(self, items: Mask, number: int) -> dict[int, float]:
        """Returns the boosted scores of the items in the mask `items`, by item index.

        `items`: mask `[catalog rows]` of exactly `number` items, which need not be allowed.
        """
        indices, scores = self._scorer(items, number)
        if self._boosts is not None:
            scores = scores + self._boosts[indices]
        return dict(zip(indices.tolist(), scores.tolist(), strict=True))

    def _ordered(
        self, indices: np.ndarray, scores: np.ndarray, *, is_all: bool
    ) -> tuple[Scored, int]:
        """Sorts items by boosted score, best first; also returns how many of them are proven best.

        An item is proven best if every item that is not among `indices` must score less or equal.

        Args:
            indices: the item indices that the scorer has returned, best first.
            scores: their scores without boosts.
            is_all: whether the scorer has returned all allowed items.
        """
        if self._boosts is None or not len(indices):
            return (indices, scores), len(indices)
        boosted = scores + self._boosts[indices]
        order = np.argsort(-boosted, kind="stable")
        indices, boosted = indices[order], boosted[order]
        if is_all:
            return (indices, boosted), len(indices)
        others = self._allowed.copy()
        others[indices] = False
        bound = scores[-1] + self._boosts[others].max()
        return (indices, boosted), int(np.count_nonzero(boosted >= bound))

    def _above_minimum(self, best: Scored, number: int, *, is_all: bool) -> tuple[Scored, bool]:
        indices, scores = best[0][:number], best[1][:number]
        enough = scores >= self._min_score
        if enough.all():
            return (indices, scores), is_all
        return (indices[enough], scores[enough]), True
