"""The items of a catalog in the order of their events in a window."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.popularity.growth import Order, scores_of
from service.popularity.reading import WindowCounts
from service.ranking.catalog import Catalog
from service.ranking.rules.types import Scored, Scorer
from service.ranking.types import Mask

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class RankedItems:
    """Items with events, by score. Items of equal score are ordered by events, then by popularity.

    Attributes:
        catalog: the catalog that has the items; its others have the score 0.
        first: items that come before those without events, best first.
        last: items that come after those without events, best first.
        events: events in the window and in the window before, by item index.
    """

    catalog: Catalog
    first: Scored
    last: Scored
    events: Mapping[int, tuple[int, int]]

    @classmethod
    def of(cls, catalog: Catalog, counts: WindowCounts, order: Order) -> "RankedItems":
        """Ranks the items of a catalog by the counts of a window."""
        found = np.array([catalog.index(item_id) or 0 for item_id in counts.item_ids], np.int64)
        known = np.flatnonzero(found)
        # By popularity first, since sorting keeps the order of what is equal.
        indices, places = _by_popularity(catalog, found[known])
        places = known[places]
        scores = scores_of(order, counts.now, counts.before, counts.all_now, counts.all_before)
        now, before, scores = counts.now[places], counts.before[places], scores[places]
        best_first = np.lexsort((-now, -scores))
        is_first = ((scores > 0) | ((scores == 0) & (now > 0)))[best_first]
        is_last = (scores < 0)[best_first]
        events = zip(now.tolist(), before.tolist(), strict=True)
        return cls(
            catalog,
            (indices[best_first[is_first]], scores[best_first[is_first]]),
            (indices[best_first[is_last]], scores[best_first[is_last]]),
            dict(zip(indices.tolist(), events, strict=True)),
        )

    @property
    def scorer(self) -> Scorer:
        """Ranks items with events by their scores, and all others by their popularity, as 0."""
        return self._best

    def _best(self, allowed: Mask, number: int) -> Scored:
        first = _allowed(self.first, allowed, number)
        middle = self._without_events(allowed, number - len(first[0]))
        last = _allowed(self.last, allowed, number - len(first[0]) - len(middle[0]))
        indices, scores = zip(first, middle, last, strict=True)
        return np.concatenate(indices), np.concatenate(scores)

    def _without_events(self, allowed: Mask, number: int) -> Scored:
        """Returns at most `number` of the allowed items without events, with the score 0."""
        if not number:
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        others = allowed.copy()
        others[self.first[0]] = others[self.last[0]] = False
        indices = np.array(self.catalog.popular(number, others), dtype=np.int64)
        return indices, np.zeros(len(indices))


def _by_popularity(catalog: Catalog, indices: Indices) -> tuple[Indices, Indices]:
    """Returns `indices`, most popular first, and the place of each among them before."""
    counted = np.zeros(len(catalog) + 1, dtype=np.bool_)
    counted[indices] = True
    popular = np.array(catalog.popular(len(indices), counted), dtype=np.int64)
    ascending = np.argsort(indices)
    return popular, ascending[np.searchsorted(indices, popular, sorter=ascending)]


def _allowed(scored: Scored, allowed: Mask, number: int) -> Scored:
    """Returns at most `number` of the items that the mask `allowed`, `[catalog rows]`, allows."""
    indices, scores = scored
    is_allowed = np.flatnonzero(allowed[indices])[:number]
    return indices[is_allowed], scores[is_allowed]
